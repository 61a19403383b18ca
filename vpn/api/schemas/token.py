"""API tokens, as their owner sees them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from portal.models import ApiToken
from portal.models.api_token import DEFAULT_LIFE, Ceiling
from vpn.api.schemas.base import In, Moment, Out, Text


class ApiTokenCreate(In):
    """A new token of the caller."""

    name: Text = Field("", description="What it is used for, at most 60 characters.")
    ceiling: Ceiling | None = Field(None, description="Absent: `manage`, for auditors `read`.")
    instances: list[UUID] | None = Field(
        None, max_length=1000, description="The only ones that it may be used for, for admins and auditors. Null: all."
    )
    expires_at: Moment | None = Field(
        None,
        description=f"Absent: in {DEFAULT_LIFE.days} days. Null: never. No later than the token that makes it.",
    )


class ApiTokenOut(Out):
    """A token without its text, which the portal does not keep. `current` marks the token of the call."""

    observed: ClassVar[frozenset[str]] = frozenset({"last_used_at", "expired", "current"})

    id: UUID
    name: str
    ceiling: Ceiling
    instances: list[UUID] | None
    created_at: datetime
    expires_at: datetime | None
    expired: bool
    last_used_at: datetime | None = Field(description="To the minute.")
    current: bool


class NewApiTokenOut(ApiTokenOut):
    """A new token with its text, which is shown only once."""

    token: str


def show_token(token: ApiToken, caller: ApiToken) -> ApiTokenOut:
    """The representation for a caller that uses the token `caller`."""
    return ApiTokenOut(
        id=token.pk,
        name=token.name,
        ceiling=Ceiling(token.ceiling),
        instances=None if token.instances is None else sorted(token.instances),
        created_at=token.created_at,
        expires_at=token.expires_at,
        expired=token.is_expired,
        last_used_at=token.last_used_at,
        current=token.pk == caller.pk,
    )
