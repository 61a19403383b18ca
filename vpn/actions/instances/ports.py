"""The ports of hubs: two numbers for each instance, which no other instance on its server has."""

from __future__ import annotations

import secrets
from typing import Final

from portal.exceptions import Conflict
from vpn.constants import FIRST_PORT, LAST_PORT
from vpn.models import Instance, Server

# See Instance.port_base.
_PORTS_EACH: Final = 2
# The number of instances that one server has ports for.
MOST_ON_SERVER: Final = len(range(FIRST_PORT, LAST_PORT, _PORTS_EACH))


def free_port_base(server: Server | None, *, wanted: int | None = None) -> int:
    """Return `wanted` if it is free on the server; else a free number, which no other instance has where possible.

    An instance whose number is free everywhere can move to any server, and its profiles stay valid. The number is
    random, so that two portals on one machine rarely choose the same. Raises Conflict where all are taken.
    """
    everywhere = set(Instance.objects.order_by().values_list("port_base", flat=True).distinct())
    here = Instance.objects.order_by().filter(server=server) if server is not None else Instance.objects.none()
    taken = set(here.values_list("port_base", flat=True))
    if wanted is not None and wanted not in taken:
        return wanted
    free = [port for port in range(FIRST_PORT, LAST_PORT, _PORTS_EACH) if port not in taken]
    if not free:
        raise Conflict("Every port of this server is taken.", code="ports-exhausted", next_step="Delete an instance.")
    return secrets.choice([port for port in free if port not in everywhere] or free)
