"""Regions that staff add."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.db import transaction

from portal.actions.acting import acted
from portal.exceptions import Conflict, InvalidInput
from portal.models import Principal
from vpn.actions.servers.input import checked_code
from vpn.choices import Driver
from vpn.models import Region
from vpn.validators import NOT_A_PROBE_URL, is_probe_url


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
    errors: dict[str, list[str]] = {}
    if not 1 <= len(name.strip()) <= 60:
        errors["name"] = ["Enter a name of at most 60 characters."]
    if country and not re.fullmatch(r"[A-Z]{2}", country):
        errors["country"] = ["Enter the two capital letters of ISO 3166-1, such as DE."]
    if (latitude is None) != (longitude is None) or abs(latitude or 0) > 90 or abs(longitude or 0) > 180:
        errors["latitude"] = ["Enter latitude (-90 to 90) and longitude (-180 to 180) in degrees, or neither."]
    if probe_url and not is_probe_url(probe_url):
        errors["probe_url"] = [NOT_A_PROBE_URL]
    if errors:
        raise InvalidInput(errors)
    here = Region.objects.filter(driver=Driver.LOCAL).first()
    if driver == Driver.LOCAL and here is not None:
        raise Conflict(
            f"This machine is the region {here.pk} already. Its hubs share ports, so it is in one region.",
            field="driver",
            next_step=f"In Django admin, change name and place of the region {here.pk}.",
        )
    with transaction.atomic():
        region, created = Region.objects.get_or_create(
            pk=checked_code(code),
            defaults={
                "name": name.strip(),
                "country": country,
                "latitude": latitude,
                "longitude": longitude,
                "driver": driver,
                "probe_url": probe_url,
            },
        )
        if not created:
            raise Conflict(f"There is a region {code} already.", field="code", next_step="Choose another code.")
        acted(by, "added", region)
    return region


def set_loss_policy(region: Region, *, rebuild_lost: bool, lost_after: int | None, by: Principal) -> None:
    """Choose when a region's servers are lost, and whether their hubs are then built anew. Raises InvalidInput.

    Hubs that are built anew by themselves run on leases, so without the portal they end (vpn/jobs/leases.py).
    """
    with transaction.atomic():
        locked = Region.objects.select_for_update(no_key=True).get(pk=region.pk)
        locked.rebuild_lost, locked.lost_after = rebuild_lost, lost_after
        try:
            locked.full_clean()
        except ValidationError as fault:
            raise InvalidInput(fault.message_dict) from None
        locked.save(update_fields=["rebuild_lost", "lost_after"])
        acted(by, "loss policy set", locked)
