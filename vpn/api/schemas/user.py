"""Members of the organization; the API calls them users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from portal.models import Membership, MembershipState, Role
from vpn.api.schemas.base import Flag, In, Out, Text


class UserCreate(In):
    """A user to invite."""

    email: Text
    role: Literal["admin", "auditor", "member"]
    name: Text = ""
    groups: list[UUID] = Field([], description="The ids of the groups that they are put into.")


class UserChange(In):
    """The fields that can be changed; absent fields stay. Every field of a read is accepted unchanged."""

    role: Literal["admin", "auditor", "member"] = "member"
    active: Flag = Field(True, description="False ends the member's tokens, share links and tunnels here.")
    name: Text = ""
    groups: list[UUID] = Field([], description="The ids of all groups that they are to be in.")


class UserOut(Out):
    """A member; the id is the same from the invitation on."""

    id: UUID
    email: str
    name: str
    role: Role
    state: MembershipState
    groups: list[UUID]
    created_at: datetime


def show_user(membership: Membership) -> UserOut:
    """The representation; the user should be joined, and for a list the groups prefetched."""
    return UserOut.model_validate(
        {
            "id": membership.pk,
            "email": membership.user.email,
            "name": membership.user.name,
            "role": membership.role,
            "state": membership.state,
            "groups": sorted(group.pk for group in membership.groups.all()),
            "created_at": membership.created_at,
        }
    )
