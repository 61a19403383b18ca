"""Acts on the journal itself."""

from __future__ import annotations

from django.db import transaction

from portal.actions.acting import acted
from portal.models import Organization, Principal


def note_export(organization: Organization, file: str, filters: dict[str, str], *, by: Principal) -> None:
    """Record that somebody exported the journal, before the file is sent."""
    with transaction.atomic():
        acted(by, "journal exported", organization, details={"file": file, **filters})
