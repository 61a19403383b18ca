"""How many more instances the regions' servers take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from vpn.choices import Driver
from vpn.models import Region


def rooms(regions: Sequence[Region]) -> dict[str, str]:
    """By region, how many more instances its servers take, in a sentence; "" if that is not known. One query."""
    free: defaultdict[str, int] = defaultdict(int)
    without_limit = set()
    servers = Region.ready_servers().annotate(carried=Count("instances"))
    for region, capacity, carried in servers.values_list("region_id", "capacity", "carried"):
        if capacity is None:
            without_limit.add(region)
        else:
            free[region] += max(0, capacity - carried)
    return {one.pk: _("Room for more") if one.pk in without_limit else _words(one, free[one.pk]) for one in regions}


def _words(region: Region, free: int) -> str:
    if free:
        words = ngettext("Room for %(count)s more instance", "Room for %(count)s more instances", free)
        return words % {"count": grouped(free)}
    return _("A server is ordered first, which takes some minutes") if region.driver == Driver.CLOUD else ""
