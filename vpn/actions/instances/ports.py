"""The ports of hubs: two numbers for each instance, which no other instance on its server has."""

from __future__ import annotations

import secrets
from typing import Final

from django.utils.translation import gettext as _

from portal.exceptions import Conflict
from vpn.constants import FIRST_PORT, LAST_PORT
from vpn.models import Instance, Server

# See Instance.port_base.
_PORTS_EACH: Final = 2
# The number of instances that one server has ports for.
MOST_ON_SERVER: Final = len(range(FIRST_PORT, LAST_PORT, _PORTS_EACH))


def free_port_base(server: Server | None, *, wanted: int | None = None, of: Instance | None = None) -> int:
    """Return `wanted` if it is free on the server; else a free number, which no other instance has where possible.

    Hubs that are being moved there have their ports already, and hubs that left keep theirs while they are forwarded.
    What the instance `of` has on the server does not count.

    An instance whose number is free everywhere can move to any server, and its profiles stay valid. The number is
    random, so that two portals on one machine rarely choose the same. Raises Conflict where all are taken.
    """
    everywhere = set(Instance.objects.order_by().values_list("port_base", flat=True).distinct())
    taken = _taken_on(server, of) if server is not None else set()
    if wanted is not None and wanted not in taken:
        return wanted
    free = [port for port in range(FIRST_PORT, LAST_PORT, _PORTS_EACH) if port not in taken]
    if not free:
        raise Conflict(
            _("Every port of this server is taken."), code="ports-exhausted", next_step=_("Delete an instance.")
        )
    return secrets.choice([port for port in free if port not in everywhere] or free)


def _taken_on(server: Server, but: Instance | None) -> set[int]:
    instances, moves, retired = server.instances.all(), server.moves.all(), server.retired_hubs.all()
    if but is not None:
        instances, moves = instances.exclude(pk=but.pk), moves.exclude(instance=but)
        retired = retired.exclude(instance=but)
    found = (rows.order_by().values_list("port_base", flat=True) for rows in (instances, moves, retired))
    return set().union(*found)
