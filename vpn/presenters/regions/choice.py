"""The choice of a region: a list with figures, a suggestion with its reason, and the same on a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from portal.figures import grouped
from vpn.choices import Driver
from vpn.geo.distance import BASE_MS, MS_FOR_1000_KM
from vpn.geo.suggestion import Trip, Trips
from vpn.models import Region, Site
from vpn.presenters.regions.located import Located, located, named
from vpn.presenters.regions.map import Placed, WorldMap, world_map
from vpn.presenters.regions.ranking import Ranking, point_of
from vpn.presenters.regions.room import rooms

# With more sites, the nearest and the farthest are listed.
_MOST_LISTED: Final = 12
# Regions that are listed without opening the rest.
_MOST_AT_ONCE: Final = 8


@dataclass(frozen=True)
class RegionRow:
    """A region in the list. `closed` says why it cannot be chosen, "" if it can."""

    region: Region
    closed: str
    room: str
    trips: Trips | None
    is_suggested: bool
    is_chosen: bool

    @property
    def about(self) -> str:
        """What runs the hubs, for a region of which nothing else is known."""
        if self.region.driver == Driver.LOCAL:
            return _("The hub runs on the machine of this portal.")
        return _("The hub runs on a server in this region.")

    @property
    def near(self) -> list[tuple[str, str]]:
        """Sites and their round trips: all, or the nearest ones."""
        trips = self.trips.nearest_first if self.trips else []
        return [_shown(trip) for trip in (trips if len(trips) <= _MOST_LISTED else trips[: _MOST_LISTED // 2])]

    @property
    def far(self) -> list[tuple[str, str]]:
        """The farthest sites, if not all are listed."""
        trips = self.trips.nearest_first if self.trips else []
        return [_shown(trip) for trip in trips[-(_MOST_LISTED // 2) :]] if self.between else []

    @property
    def between(self) -> int:
        """The number of sites that are not listed."""
        trips = self.trips.nearest_first if self.trips else []
        half = _MOST_LISTED // 2
        return sum(trip.spot.sites for trip in trips[half:-half]) if len(trips) > _MOST_LISTED else 0

    @property
    def median(self) -> str:
        """The median round trip in milliseconds, "" if unknown."""
        return f"{self.trips.median:.0f}" if self.trips else ""

    @property
    def worst(self) -> tuple[str, str]:
        """The farthest site and its round trip."""
        return _shown(self.trips.worst) if self.trips else ("", "")


@dataclass(frozen=True)
class RegionChoice:
    """All regions, best first; those that cannot be chosen last."""

    rows: list[RegionRow]
    where: Located
    reason: str
    world: WorldMap

    @property
    def is_a_choice(self) -> bool:
        """Is there more than one region?"""
        return len(self.rows) > 1

    @property
    def first(self) -> list[RegionRow]:
        """The regions that are listed at once."""
        return self.rows if len(self.rows) <= _MOST_AT_ONCE else self.rows[: _MOST_AT_ONCE - 1]

    @property
    def more(self) -> list[RegionRow]:
        """The regions that are listed on demand."""
        return self.rows[len(self.first) :]

    @property
    def more_is_open(self) -> bool:
        """Is the chosen region one of those?"""
        return any(row.is_chosen for row in self.more)

    @property
    def origins(self) -> list[str]:
        """The origins that the page's measurements fetch from, as a content security policy names them."""
        urls = (urlsplit(row.region.probe_url) for row in self.rows if row.region.probe_url and not row.closed)
        return sorted({f"{url.scheme}://{url.netloc}".lower() for url in urls}) if self.is_a_choice else []

    @property
    def without_place(self) -> str:
        """How many sites do not count."""
        count = self.where.without_place
        if count == 1:
            return _("One site does not count: its place is not known.")
        return _("%s sites do not count: their place is not known.") % grouped(count)

    @property
    def model(self) -> str:
        """How the expected round trips are computed."""
        return _(
            "Expected round trips are computed: %(base)s ms, and %(each)s ms for each 1,000 km of the great circle. "
            "Most real ones differ by less than a third."
        ) % {"base": f"{BASE_MS:g}", "each": f"{MS_FOR_1000_KM:g}"}


def choose_region(
    regions: Sequence[Region], sites: QuerySet[Site], *, chosen: str = "", current: str = ""
) -> RegionChoice:
    """The choice among regions (`Region.objects.with_room()`) for a hub of these sites; two queries in all.

    `chosen` is the region of a form that was sent; otherwise the suggested one is chosen, or else the first that is
    open. `current` is the region of a hub that is to move: it can neither be chosen nor suggested, and nothing is
    suggested if it is the best one.
    """
    where = located(sites)
    ranking = Ranking(regions, where, current)
    picked = chosen or ranking.first_open
    room = rooms(regions)
    rows = [
        RegionRow(
            region=region,
            closed=ranking.closed[region.pk],
            room=room.get(region.pk, ""),
            trips=ranking.trips.get(region.pk),
            is_suggested=region.pk == ranking.suggested,
            is_chosen=region.pk == picked and not ranking.closed[region.pk],
        )
        for region in ranking.listed
    ]
    world = world_map([placed for row in rows if (placed := _placed(row)) is not None], where)
    return RegionChoice(rows, where, ranking.reason, world)


def _shown(trip: Trip) -> tuple[str, str]:
    return named(trip.spot), f"{trip.milliseconds:.0f}"


def _placed(row: RegionRow) -> Placed | None:
    point = point_of(row.region)
    if point is None:
        return None
    state = "suggested" if row.is_suggested else "closed" if row.closed else "open"
    return Placed(row.region.pk, row.region.name, point, state, row.is_chosen)
