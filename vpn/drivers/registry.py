"""Which driver reaches a region's servers."""

from __future__ import annotations

from vpn.choices import Driver as DriverName
from vpn.drivers import local
from vpn.drivers.base import Driver, Unreachable


def driver_for(name: str) -> Driver:
    """The driver of that name; raises Unreachable for one that this version does not have."""
    if name == DriverName.LOCAL:
        return local.driver
    raise Unreachable(f"This version of the portal cannot reach servers by {name!r}.")
