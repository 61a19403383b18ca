"""`manage.py rotate_secrets`: seal everything under the newest key, while the portal runs."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from portal.audit.log import note_command
from portal.key_file import KeyFileError, add_key, forget_old_keys, seconds_since_change, secret_keys
from portal.reseal import count_stale, reseal_all

# Four times what a job gets, and six times what a request waits for a lock of the database.
_LONGEST: Final = 120.0


class Command(BaseCommand):
    """Seals anew. Safe to repeat, and to kill: the next run goes on."""

    help = "Seal every secret in the database under the newest key. The portal may run meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What happens to the file of keys before and after."""
        parser.add_argument("--new-key", action="store_true", help="put a new key in front of the others first")
        parser.add_argument("--forget-old-keys", action="store_true", help="take older keys out of the file at the end")
        told = f"seconds that the slowest request or job may take: old keys stay for so long (default: {_LONGEST})"
        parser.add_argument("--wait", type=float, default=_LONGEST, metavar="SECONDS", help=told)

    def handle(self, *args: Any, new_key: bool, forget_old_keys: bool, wait: float, **options: Any) -> None:
        """Rotate, and tell what was done."""
        try:
            if new_key:
                add_key()
                note_command("key_added", keys=len(secret_keys()))
                self.stdout.write(f"A new key is the first of {len(secret_keys())}.")
            self._reseal()
            if forget_old_keys:
                self._await_transactions(wait)
                self._forget()
        except KeyFileError as fault:
            raise CommandError(str(fault)) from None

    def _reseal(self) -> None:
        outcome = reseal_all()
        note_command("resealed", values=outcome.resealed, closed=len(outcome.closed))
        self.stdout.write(f"{outcome.resealed} values are sealed anew.")
        if outcome.closed:
            places = ", ".join(sorted(outcome.closed))
            raise CommandError(f"No key here opens values in {places}. Put the key back that sealed them, then repeat.")

    def _await_transactions(self, longest: float) -> None:
        """What was sealed before the newest key came may be committed only now; it is sealed anew then."""
        if (left := longest - seconds_since_change()) > 0:
            self.stdout.write(f"Waiting {left:.0f} s for what was under way when the newest key came.")
            time.sleep(left)
        self._reseal()

    def _forget(self) -> None:
        if stale := count_stale():
            raise CommandError(
                f"{stale} rows are sealed under an older key again: a process that does not know the newest one still "
                "runs. Start it anew, then repeat."
            )
        forgotten = forget_old_keys()
        note_command("keys_forgotten", keys=forgotten)
        self.stdout.write(f"{forgotten} older keys are forgotten.")
