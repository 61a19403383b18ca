"""`manage.py rotate_secrets`: seal everything under the newest key, while the portal runs."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from portal.audit.log import note_command
from portal.key_file import KeyFileError, add_key, forget_old_keys, seconds_since_change, secret_keys
from portal.reseal import count_stale, reseal_all

# Seconds: four times a job's limit, and six times a request's wait for a database lock.
_LONGEST: Final = 120.0


class Command(BaseCommand):
    """Seals all secrets again. Safe to repeat and to kill: the next run continues."""

    help = "Seal every secret in the database under the newest key. The portal may run meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the options for the key file."""
        parser.add_argument("--new-key", action="store_true", help="first add a new key in front of the others")
        parser.add_argument("--forget-old-keys", action="store_true", help="remove older keys from the file at the end")
        told = f"seconds that the slowest request or job may take; old keys stay that long (default: {_LONGEST})"
        parser.add_argument("--wait", type=float, default=_LONGEST, metavar="SECONDS", help=told)

    def handle(self, *args: Any, new_key: bool, forget_old_keys: bool, wait: float, **options: Any) -> None:
        """Rotate, and report what was done."""
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
        self.stdout.write(f"{outcome.resealed} values are sealed under the newest key.")
        if outcome.closed:
            places = ", ".join(sorted(outcome.closed))
            raise CommandError(f"No key here opens values in {places}. Put the key back that sealed them, then repeat.")

    def _await_transactions(self, longest: float) -> None:
        """Wait for transactions from before the newest key: they may still commit values under an older one."""
        if (left := longest - seconds_since_change()) > 0:
            self.stdout.write(f"Waiting {left:.0f} s for transactions that began before the newest key.")
            time.sleep(left)
        self._reseal()

    def _forget(self) -> None:
        if stale := count_stale():
            raise CommandError(
                f"{stale} rows are sealed under an older key again: a process that does not know the newest one still "
                "runs. Restart it, then repeat."
            )
        forgotten = forget_old_keys()
        note_command("keys_forgotten", keys=forgotten)
        self.stdout.write(f"{forgotten} older keys are forgotten.")
