"""Members of the organization; the API calls them users."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from portal.models import Group, Membership, MembershipState, Role
from vpn.api.schemas.base import Flag, In, Number, Out, Text


class UserCreate(In):
    """A user to invite."""

    email: Text
    role: Literal["admin", "auditor", "operator", "member"]
    name: Text = ""
    groups: list[UUID] = Field([], description="The ids of the groups that they are put into.")
    instances: list[UUID] = Field([], description="For operators: the ids of the instances whose peers they manage.")


class UserChange(In):
    """The fields that can be changed; absent fields stay. Every field of a read is accepted unchanged."""

    role: Literal["admin", "auditor", "operator", "member"] = "member"
    active: Flag = Field(True, description="False ends the member's tokens, share links and tunnels here.")
    name: Text = ""
    groups: list[UUID] = Field([], description="The ids of all groups that they are to be in.")
    instances: list[UUID] = Field([], description="For operators: the ids of all instances whose peers they manage.")
    most_devices: Number | None = Field(
        None, description="How many devices they may have and still add one; null: as the organization says."
    )


class UserOut(Out):
    """A member; the id is the same from the invitation on."""

    id: UUID
    email: str
    name: str
    role: Role
    state: MembershipState
    groups: list[UUID]
    instances: list[UUID]
    most_devices: int | None
    created_at: datetime


def show_users(memberships: Sequence[Membership]) -> list[UserOut]:
    """`show_user` of many; one query for all their groups."""
    groups: dict[UUID, list[UUID]] = {one.pk: [] for one in memberships}
    # Django's prefetching makes a query set for each member, which takes longer than all else.
    rows = Group.members.through.objects.filter(membership__in=list(groups))
    for member, group in rows.values_list("membership_id", "group_id"):
        groups[member].append(group)
    return [show_user(one, groups[one.pk]) for one in memberships]


def show_user(membership: Membership, groups: Collection[UUID] | None = None) -> UserOut:
    """The representation; the user should be joined. `groups` are the ids of the member's groups, if known."""
    if groups is None:
        groups = membership.groups.values_list("pk", flat=True)
    return UserOut.model_validate(
        {
            "id": membership.pk,
            "email": membership.user.email,
            "name": membership.user.name,
            "role": membership.role,
            "state": membership.state,
            "groups": sorted(groups),
            "instances": membership.instance_ids or [],
            "most_devices": membership.most_devices,
            "created_at": membership.created_at,
        }
    )
