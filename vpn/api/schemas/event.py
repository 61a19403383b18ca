"""Lines of the organization's journal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import AwareDatetime, Field

from vpn.api.schemas.base import Moment, Out
from vpn.api.schemas.instance import AskerOut


class EventFilters(Schema):
    """Which lines are wanted."""

    actor: str = Field("", max_length=40, description="The id of a user, token or peer that acted.")
    object: str = Field("", max_length=40, description="The id of an object; of an instance, its peers count too.")
    since: Moment | None = Field(None, description="Only lines of this time or later.")


class ObjectOut(Out):
    """What an act was about; its name as it was then."""

    kind: str
    id: str
    name: str


class ChangeOut(Out):
    """A field that changed."""

    field: str
    before: Any
    after: Any


class EventOut(Out):
    """One act. `cause` is the id of the act of which this one is a consequence."""

    id: UUID
    at: AwareDatetime
    actor: AskerOut
    address: str
    user_agent: str
    code: str
    message: str
    object: ObjectOut
    changes: list[ChangeOut]
    details: dict[str, Any]
    operation: UUID | None
    cause: UUID | None
