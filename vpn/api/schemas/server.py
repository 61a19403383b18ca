"""Where hubs can run."""

from __future__ import annotations

from vpn.api.schemas.base import Out
from vpn.models import Region


class RegionOut(Out):
    """A place for hubs."""

    id: str
    name: str
    country: str
    latitude: float | None
    longitude: float | None
    driver: str
    available: bool


def show_region(region: Region) -> RegionOut:
    """The representation."""
    values = {name: getattr(region, name) for name in RegionOut.model_fields}
    return RegionOut.model_validate({**values, "available": not region.why_closed})
