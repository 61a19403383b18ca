"""`manage.py createsuperuser`: Django's own command, with a line in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands.createsuperuser import Command as MakesSuperuser
from django.db import transaction

from portal.actions.acting import acted
from portal.audit.log import command_principal, note_command
from portal.models import User


class Command(MakesSuperuser):
    """Creates a staff account."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the account, then log its address."""
        before = set(User.objects.filter(is_superuser=True).values_list("pk", flat=True))
        super().handle(*args, **options)
        for user in User.objects.filter(is_superuser=True).exclude(pk__in=before):
            note_command("superuser_made", user=user.pk, email=user.email)
            with transaction.atomic():
                acted(command_principal(), "became staff", user)
