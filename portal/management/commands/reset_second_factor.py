"""`manage.py reset_second_factor EMAIL`: for staff who lost theirs, when nobody else can reset it under /admin/."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.actions.second_factor import reset_second_factor
from portal.audit.log import command_principal, note_command
from portal.models import User


class Command(BaseCommand):
    """Removes all second factors of an account, and ends its sessions."""

    help = "Remove the second factor and recovery codes of an account. Its password stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define EMAIL."""
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        """Reset each account of the address that has a factor."""
        found = [user for user in User.objects.of_address(email) if user.has_second_factor]
        if not found:
            raise CommandError(f"No account of {email} has a second factor.")
        for user in found:
            reset_second_factor(user, by=command_principal())
            note_command("factor_reset", user=user.pk)
        self.stdout.write(f"The second factor of {email} is reset.")
