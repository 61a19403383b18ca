"""Groups of members."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from portal.models import Group
from vpn.api.schemas.base import In, Out, Text


class GroupCreate(In):
    """A new group."""

    name: Text = Field(description="1 to 40 characters, unique in the organization in any case.")
    members: list[UUID] = Field([], description="The ids of the users in it.")


class GroupChange(GroupCreate):
    """The fields that can be changed; absent fields stay. Every field of a read is accepted unchanged."""

    name: Text = ""


class GroupOut(Out):
    """A group of users, whom firewall rules can name at once."""

    id: UUID
    name: str
    members: list[UUID]


def show_group(group: Group) -> GroupOut:
    """The representation; for a list, the members should be prefetched."""
    return GroupOut(id=group.pk, name=group.name, members=sorted(member.pk for member in group.members.all()))
