"""`manage.py api_tokens list EMAIL [--organization SLUG] [--json]`, `manage.py api_tokens revoke ID...`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from portal.actions.api_token import revoke_token
from portal.audit.log import command_principal, note_command
from portal.management.one_member import add_member_arguments, one_member
from portal.models import ApiToken


class Command(BaseCommand):
    """Lists a member's API tokens, and revokes them."""

    help = "List or revoke API tokens. `api_token` creates one; its text is not shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the subcommands `list` and `revoke`."""
        acts = parser.add_subparsers(dest="act", required=True)
        listing = acts.add_parser("list", help="the tokens of a member, oldest first")
        add_member_arguments(listing)
        listing.add_argument("--json", action="store_true", help="as one JSON array")
        revoking = acts.add_parser("revoke", help="end tokens at once")
        revoking.add_argument("ids", metavar="ID", nargs="+", type=UUID)

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        """Run the subcommand."""
        if act == "list":
            self._list(options)
        else:
            self._revoke(options["ids"])

    def _list(self, options: dict[str, Any]) -> None:
        member = one_member(options["email"], options["organization"])
        tokens = ApiToken.objects.filter(membership=member).order_by("created_at", "id")
        if options["json"]:
            self.stdout.write(json.dumps([_shown(token) for token in tokens]))
            return
        for token in tokens:
            over = "expired" if token.is_expired else "expires"
            end = f"{over} {_time(token.expires_at)}" if token.expires_at else "does not expire"
            used = f"last used {_time(token.last_used_at)}" if token.last_used_at else "never used"
            limits = f"{token.ceiling}, {_reach(token)}"
            self.stdout.write(f"{token.pk}  {token.name or '(no name)'}: {limits}, {end}, {used}")

    def _revoke(self, ids: list[UUID]) -> None:
        found = {token.pk: token for token in ApiToken.objects.filter(pk__in=ids)}
        if missing := [str(pk) for pk in ids if pk not in found]:
            raise CommandError(f"There is no token {', '.join(missing)}. Nothing was revoked.")
        for token in found.values():
            revoke_token(token, by=command_principal())
            note_command("token_revoked", token=token.pk, member=token.membership_id)


def _reach(token: ApiToken) -> str:
    return "all instances" if token.instances is None else f"{len(token.instances)} instances"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _shown(token: ApiToken) -> dict[str, Any]:
    times = ("created_at", "expires_at", "last_used_at")
    shown = {field: moment.isoformat() if (moment := getattr(token, field)) else None for field in times}
    limits = {"ceiling": token.ceiling, "instances": token.instance_ids}
    return {"id": str(token.pk), "name": token.name, **limits, **shown, "expired": token.is_expired}
