"""`manage.py api_token EMAIL [--organization SLUG]`: a new API token, alone, on standard output."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.models import ApiToken, Membership, MembershipState


class Command(BaseCommand):
    """Makes an API token that acts as one member of one organization."""

    help = "Print a new API token of a member. It is shown once; the portal keeps only a digest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """EMAIL, and the organization where the person is in several."""
        parser.add_argument("email")
        parser.add_argument("--organization", metavar="SLUG", default="")

    def handle(self, *args: Any, email: str, organization: str, **options: Any) -> None:
        """Print the token."""
        found = _memberships(email, organization)
        if not found:
            where = f" in {organization}" if organization else ""
            raise CommandError(f"There is no active member with the address {email}{where}.")
        if len(found) > 1:
            slugs = ", ".join(member.organization.slug for member in found)
            raise CommandError(f"{email} belongs to several organizations. Name one: --organization, one of {slugs}.")
        _, token = ApiToken.issue(found[0])
        self.stdout.write(token)


def _memberships(email: str, slug: str) -> list[Membership]:
    found = Membership.objects.filter(
        user__email__iexact=email.strip(), user__is_active=True, state=MembershipState.ACTIVE
    )
    if slug:
        found = found.filter(organization__slug=slug)
    return list(found.select_related("organization").order_by("organization__slug"))
