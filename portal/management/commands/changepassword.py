"""`manage.py changepassword EMAIL`: Django's own command, with a line in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as ChangesPassword

from portal.audit.log import note_command


class Command(ChangesPassword):
    """Sets an account's password."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Set the password, then log the address."""
        said = super().handle(*args, **options)
        note_command("password_changed", email=options["username"] or "")
        return said
