"""`manage.py changepassword EMAIL`: Django's own command, with a line in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as ChangesPassword
from django.db import transaction

from portal.actions.acting import acted
from portal.actions.notice_mail import queue_notice
from portal.audit.log import command_principal, note_command
from portal.models import User


class Command(ChangesPassword):
    """Sets an account's password."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Set the password, then log the address and append a line to the journal."""
        said = super().handle(*args, **options)
        email = options["username"] or ""
        note_command("password_changed", email=email)
        with transaction.atomic():
            user = User.objects.get_by_natural_key(email)
            acted(command_principal(), "password changed", user)
            queue_notice(user, "password_changed", by=command_principal())
        return said
