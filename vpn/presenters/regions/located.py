"""An organization's sites on the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Min, QuerySet
from django.utils.translation import gettext as _

from portal.figures import grouped
from vpn.geo.distance import Point
from vpn.geo.spots import Spot, Spots, merged
from vpn.models import Site

# The marks of sites on the map, and the round trips computed for each region.
_MOST_SPOTS: Final = 150


@dataclass(frozen=True)
class Located:
    """The sites that have a place, those close to each other as one, and the number of those that have none."""

    spots: Spots
    without_place: int

    @property
    def sites(self) -> int:
        """The number of sites that have a place."""
        return self.spots.sites


def located(sites: QuerySet[Site]) -> Located:
    """Where the sites are, with one query."""
    places = sites.order_by().values_list("latitude", "longitude")
    rows = places.annotate(sites=Count("pk"), site=Min("name"), place=Min("place"))
    spots, without_place = [], 0
    for latitude, longitude, count, site, place in rows:
        if latitude is None or longitude is None:
            without_place += count
        else:
            spots.append(Spot(Point(latitude, longitude), count, _name_of(count, site, place)))
    return Located(merged(spots, _MOST_SPOTS), without_place)


def named(spot: Spot) -> str:
    """The name of a spot, with the number of its sites if there are several."""
    if spot.sites == 1:
        return spot.name
    return _("%(count)s sites near %(name)s") % {"name": spot.name, "count": grouped(spot.sites)}


def _name_of(count: int, site: str, place: str) -> str:
    return site if count == 1 else place or site
