"""Regions in the order in which they serve an organization's sites, with the suggestion and its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.translation import gettext as _

from vpn.choices import Driver
from vpn.geo.distance import Point
from vpn.geo.suggestion import Trips, in_order, trips_from
from vpn.models import Region
from vpn.presenters.regions.located import Located
from vpn.presenters.regions.reason import reason


@dataclass
class Ranking:
    """Regions for a hub of these sites. `current` is the region of a hub that is to move, "" for a new hub."""

    regions: Sequence[Region]
    where: Located
    current: str = ""

    @cached_property
    def closed(self) -> dict[str, str]:
        """By region, why it cannot be chosen; "" if it can."""
        here = _("The hub is here now.")
        return {region.pk: here if region.pk == self.current else region.why_closed for region in self.regions}

    @cached_property
    def trips(self) -> dict[str, Trips]:
        """The expected round trips from each region that has a place."""
        found = ((region.pk, point_of(region)) for region in self.regions)
        computed = {pk: trips_from(point, self.where.spots.found) for pk, point in found if point is not None}
        return {pk: trips for pk, trips in computed.items() if trips is not None}

    @cached_property
    def best_first(self) -> list[str]:
        """The regions that have a place, closed ones too."""
        return in_order(self.trips)

    @cached_property
    def listed(self) -> list[Region]:
        """All regions: open ones before closed ones, each best first, those without a place after the others.

        Among the latter, regions whose servers are there already come before those whose servers are ordered.
        """
        place = {pk: number for number, pk in enumerate(self.best_first)}
        last = len(place)

        def key(one: Region) -> tuple[bool, int, bool, str, str]:
            return bool(self.closed[one.pk]), place.get(one.pk, last), one.driver == Driver.CLOUD, one.name, one.pk

        return sorted(self.regions, key=key)

    @property
    def first_open(self) -> str:
        """The region to choose where nothing was chosen."""
        return next((region.pk for region in self.listed if not self.closed[region.pk]), "")

    @property
    def suggested(self) -> str:
        """The best region that can be chosen; "" without a choice, or if the hub is in the best one."""
        if len(self.regions) < 2 or self.best_first[:1] == [self.current]:
            return ""
        return next((pk for pk in self.best_first if not self.closed[pk]), "")

    @property
    def reason(self) -> str:
        """Why that region is suggested, or why none is better; "" where nothing is known."""
        stays = self.best_first[:1] == [self.current]
        if not stays and not self.suggested:
            return ""
        names = {region.pk: self._name_of(region) for region in self.regions}
        offered = [pk for pk in self.best_first if not self.closed[pk] or (stays and pk == self.current)]
        before = self.best_first[: self.best_first.index(offered[0])]
        better = [names[pk] for pk in before if pk != self.current]
        return reason([(names[pk], self.trips[pk]) for pk in offered], better, self.where)

    def _name_of(self, region: Region) -> str:
        return _("%s, where the hub is now,") % region.name if region.pk == self.current else region.name


def point_of(region: Region) -> Point | None:
    """Where a region is; None if staff have not said."""
    if region.latitude is None or region.longitude is None:
        return None
    return Point(region.latitude, region.longitude)
