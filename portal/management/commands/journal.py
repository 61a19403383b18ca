"""`manage.py journal verify`: check every journal against its hash chain."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.audit.verifying import Verdict, journals, verify


class Command(BaseCommand):
    """Checks the journals; exits with 1 if one is not as it was written."""

    help = "Check whether lines of the journals were removed, altered, inserted or moved. The portal may run meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the subcommand `verify`."""
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("verify", help="check all journals, a line for each; 1 if there is a fault")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check all journals before failing, so that each fault is told."""
        faulty = 0
        for organization_id, name in journals().items():
            verdict = verify(organization_id)
            faulty += bool(verdict.faults)
            for fault in verdict.faults:
                self.stdout.write(f"{name}: {fault}.")
            if verdict.is_full():
                self.stdout.write(f"{name}: there may be more faults.")
            if not verdict.faults:
                self.stdout.write(f"{name}: {_intact(verdict)}.")
        if faulty:
            raise CommandError(f"Journals with faults: {faulty}.")


def _intact(verdict: Verdict) -> str:
    head = verdict.head
    if head is None:
        return "nothing is sealed yet"
    first = f"{head.anchor_position + 1:,}"
    return f"{verdict.lines:,} lines from number {first} are intact, sealed since {head.begun_at:%Y-%m-%d %H:%M} UTC"
