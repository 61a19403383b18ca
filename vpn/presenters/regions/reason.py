"""Why a region is suggested, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from portal.figures import grouped
from vpn.geo.suggestion import Trips
from vpn.presenters.regions.located import Located, named


def reason(best_first: Sequence[tuple[str, Trips]], better: Sequence[str], where: Located) -> str:
    """Why the first of these regions is suggested, and how far behind the next one is; "" if there is none.

    `better` are regions that take no instances now and would be suggested otherwise.
    """
    sentences = [_next(name, trips, where) for name, trips in best_first[1:2]]
    sentences += [_("%s would be closer, but takes no instances now.") % name for name in better[:1]]
    return " ".join([_first(name, trips, where) for name, trips in best_first[:1]] + sentences)


def _first(name: str, trips: Trips, where: Located) -> str:
    words = _(
        "%(region)s is closest to most sites: half of the %(sites)s with a place are within %(median)s ms, the "
        "farthest (%(worst)s) within %(farthest)s ms."
    )
    if where.sites == 1:
        words = _("%(region)s is closest to %(worst)s, the only site with a place: %(median)s ms.")
    return words % {"region": name, "sites": grouped(where.sites), **_figures(trips)}


def _next(name: str, trips: Trips, where: Located) -> str:
    words = _("Next is %(region)s: %(median)s ms for half of them, %(farthest)s ms for the farthest.")
    if where.sites == 1:
        words = _("Next is %(region)s: %(median)s ms.")
    return words % {"region": name, **_figures(trips)}


def _figures(trips: Trips) -> dict[str, str]:
    worst = trips.worst
    return {
        "median": f"{trips.median:.0f}",
        "farthest": f"{worst.milliseconds:.0f}",
        "worst": named(worst.spot),
    }
