"""Acts on the journals themselves: that of acts, and that of connections."""

from __future__ import annotations

from django.db import transaction

from portal.actions.acting import acted
from portal.audit.fields import values_of
from portal.models import Organization, Principal
from portal.validators import clean_connection_days, clean_journal_days


def note_export(organization: Organization, file: str, filters: dict[str, str], *, by: Principal) -> None:
    """Record that somebody exported the journal, before the file is sent."""
    with transaction.atomic():
        acted(by, "journal exported", organization, details={"file": file, **filters})


def note_connections_export(organization: Organization, file: str, filters: dict[str, str], *, by: Principal) -> None:
    """Record that somebody exported the connections, before the file is sent."""
    with transaction.atomic():
        acted(by, "connections exported", organization, details={"file": file, **filters})


def set_connection_retention(organization: Organization, days: int | None, *, by: Principal) -> None:
    """Set for how many days ended connections are kept; None means the portal's default. Raises InvalidInput."""
    if organization.connection_days == days:
        return
    before = values_of(organization)
    organization.connection_days = clean_connection_days(days)
    with transaction.atomic():
        organization.save(update_fields=["connection_days"])
        acted(by, "connection retention changed", organization, before=before)


def set_retention(organization: Organization, days: int | None, *, by: Principal) -> None:
    """Set for how many days lines are kept; None means the portal's default. Raises InvalidInput."""
    if organization.journal_days == days:
        return
    before = values_of(organization)
    organization.journal_days = clean_journal_days(days)
    with transaction.atomic():
        organization.save(update_fields=["journal_days"])
        acted(by, "journal retention changed", organization, before=before)
