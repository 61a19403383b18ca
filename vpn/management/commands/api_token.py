"""`manage.py api_token EMAIL [--organization SLUG]`: print a new API token, and nothing else, on standard output."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from portal.actions.api_token import create_token
from portal.audit.log import command_principal, note_command
from portal.exceptions import InvalidInput, QuotaReached
from portal.management.one_member import add_member_arguments, one_member
from portal.models import Membership
from portal.models.api_token import DEFAULT_LIFE, Ceiling
from vpn.access import find_token_instances
from vpn.models import Instance

# Ten years; beyond that there is --never.
_MOST_DAYS = 3650


class Command(BaseCommand):
    """Creates an API token that acts as one member of one organization."""

    help = "Print a new API token of a member. It is shown once; the portal keeps only a digest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define EMAIL, the organization if the person is in several, and the token's name, limits and expiry."""
        add_member_arguments(parser)
        parser.add_argument("--name", default="", help="what the token is used for")
        parser.add_argument(
            "--ceiling",
            type=Ceiling,
            choices=list(Ceiling),
            metavar="{read,manage,scim}",
            help="the most that it may do",
        )
        parser.add_argument(
            "--instance",
            dest="instances",
            metavar="ID|HOSTNAME",
            action="append",
            default=[],
            help="an instance that it may be used for; may be repeated (default: the whole organization)",
        )
        life = parser.add_mutually_exclusive_group()
        life.add_argument("--days", type=int, default=DEFAULT_LIFE.days, help="until it expires (default: %(default)s)")
        life.add_argument("--expires", type=_date, metavar="YYYY-MM-DD", help="the last day on which it works, in UTC")
        life.add_argument("--never", action="store_true", help="it does not expire")

    def handle(self, *args: Any, email: str, organization: str, **options: Any) -> None:
        """Print the token."""
        member = one_member(email, organization)
        limits: dict[str, Any] = {"ceiling": options["ceiling"], "instances": _instances(member, options["instances"])}
        try:
            made, token = create_token(
                member, by=command_principal(), name=options["name"], expires_at=_end(options), **limits
            )
        except (InvalidInput, QuotaReached) as refusal:
            raise CommandError(str(refusal)) from None
        note_command("token_made", token=made.pk, member=member.pk, organization=member.organization_id)
        self.stdout.write(token)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("enter a date such as 2030-01-31") from None


def _end(options: dict[str, Any]) -> datetime | None:
    if options["never"]:
        return None
    if options["expires"] is not None:
        return datetime.combine(options["expires"], time.max, tzinfo=UTC)
    if not 1 <= options["days"] <= _MOST_DAYS:
        raise CommandError(f"--days must be from 1 to {_MOST_DAYS:,}.")
    return timezone.now() + timedelta(days=options["days"])


def _instances(member: Membership, named: list[str]) -> list[UUID] | None:
    """The ids of the named instances; None if none is named."""
    if not named:
        return None
    known = Instance.objects.filter(organization=member.organization_id).values_list("pk", "hostname")
    by_name = {name: pk for pk, hostname in known for name in (str(pk), hostname)}
    if unknown := [name for name in named if name not in by_name]:
        raise CommandError(f"{member.organization.name} has no instance {', '.join(unknown)}.")
    try:
        return find_token_instances(member, [by_name[name] for name in named])
    except InvalidInput:
        raise CommandError(f"{member.user.email} may not see instances, so their token takes none.") from None
