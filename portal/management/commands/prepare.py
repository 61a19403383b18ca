"""`manage.py prepare`: set up everything that the portal needs to run. Repeatable; `make up` calls it every time."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.module_loading import import_string

from portal import seals
from portal.actions.organization import create_organization
from portal.audit.log import command_principal, note_command
from portal.models import Principal, User
from portal.web.exposure import exposures

LOCAL_REGION = "local"
LOCAL_NAME = "This machine"
CANNOT_CARRY = "This machine cannot carry hubs. "
_START = Principal.portal("starting on this server")


class Command(BaseCommand):
    """Brings database, static files, first admin and local region up to date with this version."""

    help = "Migrate, collect static files, make the first organization, its admin and the local region."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare everything that is missing, after warnings about unencrypted connections."""
        for exposed in exposures():
            self.stderr.write(f"Warning: {exposed}")
        call_command("migrate", interactive=False, verbosity=0)
        if wrong := seals.complaint():
            raise CommandError(wrong)
        _collect_static()
        reason = os.environ.get("HUBS_UNAVAILABLE_REASON", "") if not settings.HUBS_AVAILABLE else None
        with transaction.atomic():
            self._first_admin()
            _local_region(reason, settings.HUB_ADDRESSES)

    def _first_admin(self) -> None:
        """Create the first organization with its admin, and print once how to sign in."""
        if User.objects.exists():
            return
        email = settings.ADMIN_EMAIL.strip().lower()
        if "@" not in email:
            raise CommandError(f"ADMIN_EMAIL is {email!r}, but must be an email address.")
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(15)
        user = User.objects.create_superuser(email, password)
        create_organization("My organization", user, by=command_principal())
        note_command("superuser_made", user=user.pk, email=user.email)
        shown = "the password in ADMIN_PASSWORD" if settings.ADMIN_PASSWORD else f"the password {password} (shown once)"
        self.stdout.write(f"Sign in as {email} with {shown}")


def _collect_static() -> None:
    """Collect and compress static files, but only if a file changed, because it takes seconds."""
    stamp = Path(settings.STATIC_ROOT) / ".sources"
    sources = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = Path(storage.path(path)).stat()
            sources.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    if stamp.exists() and stamp.read_text() == sources.hexdigest():
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(sources.hexdigest())


def _local_region(unavailable_reason: str | None, addresses: tuple[str, ...]) -> None:
    """Create or update this machine's region and server. A reason that staff entered for "not available" stays."""
    regions = _model("Region").objects
    # Staff may have added it with a code of their own.
    region = regions.filter(driver="local").first() or regions.create(pk=LOCAL_REGION, name=LOCAL_NAME, driver="local")
    if unavailable_reason is not None:
        region.available = False
        region.unavailable_reason = (CANNOT_CARRY + unavailable_reason)[:300]
        region.save(update_fields=["available", "unavailable_reason"])
    elif region.unavailable_reason.startswith(CANNOT_CARRY):
        region.available = True
        region.unavailable_reason = ""
        region.save(update_fields=["available", "unavailable_reason"])
    server, _ = _model("Server").objects.get_or_create(region=region, name=LOCAL_NAME)
    address, address_v6 = (*addresses, None, None)[:2]
    if address:
        import_string(settings.SERVER_MOVED)(server.pk, address, address_v6, by=_START)
    import_string(settings.PORTAL_PLACED)(server.pk, by=_START)


def _model(name: str) -> Any:
    """Return a model of the other app by its name, because portal must not import vpn."""
    return apps.get_model("vpn", name)
