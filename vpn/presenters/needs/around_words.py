"""The words for problems around a hub: resolvers, sites, routes, profiles, and changes on its server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from vpn.needs import MOST_NAMED, Need
from vpn.presenters.findings import Names, sentence_of
from vpn.presenters.lists import joined
from vpn.presenters.needs.words import Words, address_of


def resolver_silent(need: Need) -> Words:
    """None of the hub's resolvers answers."""
    message = _(
        "The hub asks %(servers)s for public names and gets no answer. Devices that use the hub's DNS cannot resolve "
        "them."
    )
    return Words(
        _("No public name resolves"),
        message % {"servers": joined(need.instance.public_dns)},
        _("Let the server reach port 53 there, UDP and TCP, or name other resolvers on the DNS page."),
    )


def sites_silent(need: Need) -> Words:
    """Sites that were connected are disconnected."""
    sites, count = need.facts.peers.silent_sites, need.facts.peers.silent
    seen = _("%(site)s (last seen %(since)s UTC)")
    named = [
        seen % {"site": name, "since": date_format(datetime.fromisoformat(since), _("j F, H:i"))}
        for name, since in sites
    ]
    values = {"site": sites[0][0], "count": count, "sites": _shortened(named, count)}
    title = ngettext("%(site)s is not connected any more", "%(count)d sites are not connected any more", count)
    message = ngettext(
        "%(sites)s was connected and has stopped sending.",
        "%(sites)s were connected and have stopped sending.",
        count,
    )
    step = ngettext(
        "Check the router and its internet access. If this is intended, disable the peer.",
        "Check the routers and their internet access. If this is intended, disable the peers.",
        count,
    )
    return Words(title % values, message % values, step)


def route_nowhere(need: Need) -> Words:
    """Pushed routes lead nowhere."""
    routes = need.facts.lost_routes
    values = {"route": routes[0], "count": grouped(len(routes)), "routes": _shortened(routes, len(routes))}
    title = ngettext("%(route)s leads nowhere", "%(count)s pushed routes lead nowhere", len(routes))
    message = ngettext(
        "Devices send what is meant for %(routes)s to the hub, which drops it: no connected site advertises it.",
        "Devices send what is meant for %(routes)s to the hub, which drops it: no connected site advertises them.",
        len(routes),
    )
    step = ngettext(
        "Add it to a site, enable the site that has it, or remove it on the Routing page.",
        "Add them to a site, enable the sites that have them, or remove them on the Routing page.",
        len(routes),
    )
    return Words(title % values, message % values, step, tone="waiting")


def address_changed(need: Need) -> Words:
    """Profiles point to an address that the hub no longer has."""
    left = need.facts.left_addresses
    count = sum(left.values())
    message = ngettext(
        "%(count)s delivered profile points to %(left)s: %(people)s. The hub is at %(address)s now, so it does not "
        "connect, unless the former address still leads here.",
        "%(count)s delivered profiles point to %(left)s: %(people)s. The hub is at %(address)s now, so they do not "
        "connect, unless the former address still leads here.",
        count,
    )
    values = {
        "count": grouped(count),
        "left": joined(sorted(left)),
        "people": _shortened(need.facts.cut_off, count),
        "address": address_of(need.instance),
    }
    return Words(
        _("The hub's address changed"),
        message % values,
        _("Mail the people affected, so that they fetch new profiles, or set HUB_ADDRESS back."),
    )


def drift_recurring(need: Need, names: Names) -> Words:
    """The hub is changed on its server repeatedly."""
    recurring = need.facts.recurring
    if recurring is None:
        raise ValueError("this need has no recurring drift")
    changes = sentence_of(recurring.found[0], names)
    if more := len(recurring.found) - 1:
        changes = _("%(first)s And %(more)d more.") % {"first": changes, "more": more}
    message = _("%(changes)s It was undone %(times)d times within the last hour.")
    return Words(
        _("Something on the server keeps changing the hub"),
        message % {"changes": changes, "times": recurring.times},
        _(
            "The portal keeps undoing it, at growing intervals. Find the person or the program on the server that "
            "does this."
        ),
    )


def _shortened(named: Sequence[str], count: int) -> str:
    """The first names as a list, and the number of the others."""
    first = list(named[:MOST_NAMED])
    if count <= len(first):
        return joined(first)
    return joined([*first, _("%(count)s more") % {"count": grouped(count - len(first))}])
