"""More members and sites than a select has options; inserted in bulk."""

from __future__ import annotations

from typing import Final

from portal.forms.searched import MOST_OPTIONS
from portal.models import Membership, MembershipState, Organization, Role, User
from vpn.models import Site

MANY: Final = MOST_OPTIONS + 5


def add_members(organization: Organization, number: int = MANY) -> list[Membership]:
    """Members called Person 000, Person 001 and so on."""
    made = [User(email=f"user{one:03}@example.org", name=f"Person {one:03}", proven=True) for one in range(number)]
    rows = [
        Membership(
            organization=organization,
            user=user,
            role=Role.MEMBER,
            state=MembershipState.ACTIVE,
            slug=user.email.partition("@")[0],
        )
        for user in User.objects.bulk_create(made)
    ]
    return Membership.objects.bulk_create(rows)


def add_sites(organization: Organization, number: int = MANY) -> list[Site]:
    """Sites called Branch 000 with 10.0.0.0/24, Branch 001 with 10.1.0.0/24 and so on."""
    return Site.objects.bulk_create(
        Site(organization=organization, name=f"Branch {one:03}", subnets=[f"10.{one}.0.0/24"]) for one in range(number)
    )
