"""API tokens, as their owner sees them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from portal.models import ApiToken
from portal.models.api_token import DEFAULT_LIFE
from vpn.api.schemas.base import In, Moment, Out, Text


class ApiTokenCreate(In):
    """A new token of the caller."""

    name: Text = Field("", description="What it is used for, at most 60 characters.")
    expires_at: Moment | None = Field(
        None,
        description=f"Absent: in {DEFAULT_LIFE.days} days. Null: never. No later than the token that makes it.",
    )


class ApiTokenOut(Out):
    """A token without its text, which the portal does not keep. `current` marks the token of the call."""

    observed: ClassVar[frozenset[str]] = frozenset({"last_used_at", "expired", "current"})

    id: UUID
    name: str
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
        created_at=token.created_at,
        expires_at=token.expires_at,
        expired=token.is_expired,
        last_used_at=token.last_used_at,
        current=token.pk == caller.pk,
    )
