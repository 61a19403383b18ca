"""Regions that staff add."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.audit.fields import values_of
from portal.exceptions import Conflict, InvalidInput
from portal.models import Principal
from vpn.actions.servers.input import checked_code
from vpn.choices import Driver
from vpn.models import Region


def add_region(
    code: str,
    name: str,
    *,
    by: Principal,
    country: str = "",
    latitude: float | None = None,
    longitude: float | None = None,
    driver: str = Driver.SSH,
    probe_url: str = "",
) -> Region:
    """Add a region. Staff add its servers next; that of this machine comes with the next start.

    Raises InvalidInput, or Conflict.
    """
    settings = {
        "name": name.strip(),
        "country": country,
        "latitude": latitude,
        "longitude": longitude,
        "driver": driver,
        "probe_url": probe_url,
    }
    code = checked_code(code)
    if errors := _faults_of(Region(pk=code, **settings), *settings):
        raise InvalidInput(errors)
    here = Region.objects.filter(driver=Driver.LOCAL).first()
    if driver == Driver.LOCAL and here is not None:
        raise Conflict(
            _("This machine is the region %(region)s already. Its hubs share ports, so it is in one region.")
            % {"region": here.pk},
            field="driver",
            next_step=_("In Django admin, change name and place of the region %(region)s.") % {"region": here.pk},
        )
    with transaction.atomic():
        region, created = Region.objects.get_or_create(pk=code, defaults=settings)
        if not created:
            raise Conflict(
                _("There is a region %(region)s already.") % {"region": code},
                field="code",
                next_step=_("Choose another code."),
            )
        acted(by, "added", region)
    return region


def change_region(region: Region, *, by: Principal, **changes: Any) -> None:
    """Change what staff say of a region: `name`, `country`, `latitude`, `longitude`, `probe_url`. Raises InvalidInput.

    Absent ones stay. New instances are suggested by the new place; nothing that runs changes.
    """
    with transaction.atomic():
        locked = Region.objects.select_for_update(no_key=True).get(pk=region.pk)
        before = values_of(locked)
        for field, value in changes.items():
            setattr(locked, field, value.strip() if isinstance(value, str) else value)
        # Both coordinates belong together.
        told = {*changes, "latitude", "longitude"} if {"latitude", "longitude"} & set(changes) else set(changes)
        if errors := _faults_of(locked, *told):
            raise InvalidInput(errors)
        locked.save(update_fields=list(changes))
        acted(by, "changed", locked, before=before)


def set_loss_policy(region: Region, *, rebuild_lost: bool, lost_after: int | None, by: Principal) -> None:
    """Choose when a region's servers are lost, and whether their hubs are then built anew. Raises InvalidInput.

    Hubs that are built anew by themselves run on leases, so without the portal they end (vpn/jobs/leases.py).
    """
    with transaction.atomic():
        locked = Region.objects.select_for_update(no_key=True).get(pk=region.pk)
        before = values_of(locked)
        locked.rebuild_lost, locked.lost_after = rebuild_lost, lost_after
        if errors := _faults_of(locked, "rebuild_lost", "lost_after"):
            raise InvalidInput(errors)
        locked.save(update_fields=["rebuild_lost", "lost_after"])
        acted(by, "loss policy set", locked, before=before)


def _faults_of(region: Region, *fields: str) -> dict[str, list[str]]:
    """The faults that the model finds in these fields; others may be older than its checks."""
    try:
        region.full_clean(validate_unique=False)
    except ValidationError as fault:
        errors = {field: faults for field, faults in fault.message_dict.items() if field in fields}
        return errors | ({"name": [_("Enter a name of at most 60 characters.")]} if "name" in errors else {})
    return {}
