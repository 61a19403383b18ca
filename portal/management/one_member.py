"""Command line arguments that name a member: an address, and the organization if the person is in several."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import CommandError

from portal.models import Membership, MembershipState


def add_member_arguments(parser: ArgumentParser) -> None:
    """Define EMAIL and --organization."""
    parser.add_argument("email")
    parser.add_argument("--organization", metavar="SLUG", default="")


def one_member(email: str, slug: str) -> Membership:
    """Return the active member. Raises CommandError if there is none, or more than one."""
    found = Membership.objects.filter(
        user__email__iexact=email.strip(), user__is_active=True, state=MembershipState.ACTIVE
    )
    if slug:
        found = found.filter(organization__slug=slug)
    members = list(found.select_related("organization", "user").order_by("organization__slug"))
    if not members:
        where = f" in {slug}" if slug else ""
        raise CommandError(f"There is no active member with the address {email}{where}.")
    if len(members) > 1:
        slugs = ", ".join(member.organization.slug for member in members)
        raise CommandError(f"{email} belongs to several organizations. Name one: --organization, one of {slugs}.")
    return members[0]
