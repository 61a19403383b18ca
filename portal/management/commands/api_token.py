"""`manage.py api_token EMAIL [--organization SLUG]`: print a new API token, and nothing else, on standard output."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from portal.actions.api_token import create_token
from portal.audit.log import command_principal, note_command
from portal.exceptions import InvalidInput, QuotaReached
from portal.management.one_member import add_member_arguments, one_member
from portal.models.api_token import DEFAULT_LIFE

# Ten years; beyond that there is --never.
_MOST_DAYS = 3650


class Command(BaseCommand):
    """Creates an API token that acts as one member of one organization."""

    help = "Print a new API token of a member. It is shown once; the portal keeps only a digest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define EMAIL, the organization if the person is in several, and the token's name and expiry."""
        add_member_arguments(parser)
        parser.add_argument("--name", default="", help="what the token is used for")
        life = parser.add_mutually_exclusive_group()
        life.add_argument("--days", type=int, default=DEFAULT_LIFE.days, help="until it expires (default: %(default)s)")
        life.add_argument("--never", action="store_true", help="it does not expire")

    def handle(self, *args: Any, email: str, organization: str, **options: Any) -> None:
        """Print the token."""
        member = one_member(email, organization)
        if not 1 <= options["days"] <= _MOST_DAYS:
            raise CommandError(f"--days must be from 1 to {_MOST_DAYS:,}.")
        end = None if options["never"] else timezone.now() + timedelta(days=options["days"])
        try:
            made, token = create_token(member, by=command_principal(), name=options["name"], expires_at=end)
        except (InvalidInput, QuotaReached) as refusal:
            raise CommandError(str(refusal)) from None
        note_command("token_made", token=made.pk, member=member.pk, organization=member.organization_id)
        self.stdout.write(token)
