"""How many more instances the regions' servers take."""

from __future__ import annotations

from collections import defaultdict

from django.db.models import Count
from django.utils.translation import gettext as _

from vpn.choices import Driver
from vpn.models import Region


def rooms() -> dict[str, str]:
    """By region with servers that are ready: how many more instances they take, in words. One query.

    Clouds are left out: they order another server.
    """
    free: defaultdict[str, int] = defaultdict(int)
    without_limit = set()
    servers = Region.ready_servers().exclude(region__driver=Driver.CLOUD).annotate(carried=Count("instances"))
    for region, capacity, carried in servers.values_list("region_id", "capacity", "carried"):
        if capacity is None:
            without_limit.add(region)
        else:
            free[region] += max(0, capacity - carried)
    return {region: _words(count) for region, count in free.items()} | dict.fromkeys(without_limit, _("Room for more"))


def _words(count: int) -> str:
    if count == 1:
        return _("Room for one more instance")
    return _("Room for %(count)s more instances") % {"count": f"{count:,}"}
