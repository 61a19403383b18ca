"""Finding peers in an instance's list: by words, address and kind."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.models import Membership
from portal.searching import as_typed, has_word
from vpn.access import peers_of
from vpn.addressing.networks import Network
from vpn.choices import PeerType
from vpn.models import Instance, Site
from vpn.models.querysets import PeerQuerySet, seen_filter, tunnel_filter
from vpn.needs import PeerFacts
from vpn.presenters.peers.listed import ListedPeer, listed

PEERS_EACH_PAGE = 50
_LONGEST_SEARCH = 100
# The separators of words; a slash too ("anna/laptop"), but not the one of a network (10.1.0.0/16, fd10::/64).
_BETWEEN_WORDS = re.compile(r"[\s,;()]+|(?<![\d:])/+|/+(?!\d)")
# An address with a port as programs show it, 10.7.3.4:51820 or [2001:db8::1]:51820, or in brackets without a port.
_ENDPOINT = re.compile(r"(?:(?P<v4>\d+(?:\.\d+){3}):\d{1,5}|\[(?P<v6>[0-9a-fA-F:.]+)\](?::\d{1,5})?)")
# What subnets and endpoints are written with.
_OF_ADDRESSES = re.compile(r"[0-9a-fA-F.:/\[\]]+")


class Filter(NamedTuple):
    """One way to narrow the list."""

    value: str
    label: Promise


FILTERS = (
    Filter("all", _("All")),
    Filter("sites", _("Sites")),
    Filter("clients", _("Clients")),
    Filter("offline", _("Offline")),
    Filter("outdated", _("Outdated")),
)
_SHOWN = {"sites": _("sites"), "clients": _("clients"), "offline": _("offline"), "outdated": _("outdated")}
_VALUES = {one.value for one in FILTERS}


@dataclass(frozen=True)
class PeerSearch:
    """A search: the words of `text` in names, addresses and subnets; `show` is one of FILTERS."""

    text: str = ""
    show: str = "all"

    @classmethod
    def from_query(cls, query: QueryDict) -> PeerSearch:
        """The search in `?q=…&show=…`; an unknown filter shows everything."""
        show = query.get("show", "all")
        text = as_typed(query.get("q", ""))
        return cls(text=text[:_LONGEST_SEARCH], show=show if show in _VALUES else "all")

    @property
    def shown_words(self) -> str:
        """What is shown, within a sentence."""
        return str(_SHOWN.get(self.show, self.show))

    def as_query(self) -> str:
        """The query string of this search, ending in "&" unless empty."""
        given = {"q": self.text, "show": "" if self.show == "all" else self.show}
        text = urlencode({key: value for key, value in given.items() if value})
        return f"{text}&" if text else ""

    def find(self, member: Membership, instance: Instance, outdated: Collection[UUID] = ()) -> PeerQuerySet:
        """The matching peers of an instance, sites first. `outdated` are those with an outdated profile."""
        found = peers_of(member, instance).select_related(None)
        if self.show in {"sites", "clients"}:
            found = found.filter(type=PeerType.SITE if self.show == "sites" else PeerType.CLIENT)
        elif self.show == "offline" and instance.seen.is_recent:
            found = found.exclude(tunnel_filter())
        elif self.show == "outdated":
            found = found.filter(pk__in=outdated)
        if self.text:
            found = found.filter(_matches(self.text, instance))
        return found.in_list_order()

    def page(
        self,
        member: Membership,
        instance: Instance,
        counted: PeerFacts,
        *,
        number: str | None,
        outdated: Collection[UUID] = (),
    ) -> Page[ListedPeer]:
        """One page of the matching peers.

        `counted` are the facts of all peers. `outdated` is as in `find`, in the order of the list.

        The database sorts ids alone, then reads the rows of this page. A search for words is made once: its ids are
        counted here.
        """
        known = self._number_of(instance, counted)
        matching = self._ids(member, instance, outdated, is_whole=known is None)
        pages: Paginator[Any] = Paginator(matching, PEERS_EACH_PAGE)
        if known is not None:
            pages.count = known
        page: Page[Any] = pages.get_page(number)
        page.object_list = listed(peers_of(member, instance).select_related(None), list(page.object_list), instance)
        return page

    def _ids(
        self, member: Membership, instance: Instance, outdated: Collection[UUID], *, is_whole: bool
    ) -> PeerQuerySet | list[UUID]:
        """The ids of the matching peers: a query for a page of them, or all of them if `is_whole`."""
        if self.show == "outdated" and not self.text:
            return list(outdated)
        found: Any = self.find(member, instance, outdated).values_list("pk", flat=True)
        return list(found) if is_whole else found

    def _number_of(self, instance: Instance, counted: PeerFacts) -> int | None:
        """How many peers match, as they were counted; None if only a search tells."""
        if self.text or self.show == "outdated":
            return None
        others = {"sites": counted.total - counted.sites, "clients": counted.sites, "offline": counted.online(instance)}
        return counted.total - others.get(self.show, 0)


def _matches(text: str, instance: Instance) -> Q:
    """Peers in which every word is found somewhere, in any order; an address is also found in networks."""
    found = Q()
    for word in filter(None, _BETWEEN_WORDS.split(text)):
        found &= _has_word(word, instance)
    return found


def _has_word(word: str, instance: Instance) -> Q:
    """Peers in which the word is found. Members and sites are searched first: they are fewer, and need no join."""
    organization = instance.organization_id
    # Slugs and labels have small letters alone: the database changes no letters of them to compare.
    members = Membership.objects.filter(
        has_word("user__name", word) | Q(user__email__icontains=word) | Q(slug__contains=word.lower()),
        organization=organization,
    )
    sites = Site.objects.filter(has_word("name", word), organization=organization)
    found = has_word("device", word) | Q(dns_label__contains=word.lower())
    found |= Q(member__in=members.order_by().values("pk")) | Q(site__in=sites.order_by().values("pk"))
    if _OF_ADDRESSES.fullmatch(word):
        # In this order: the database turns the subnets of sites alone into text.
        found |= Q(type=PeerType.SITE) & Q(subnets__icontains=word)
        if not word.isalnum():  # the begin of an endpoint has a dot or a colon, and costs a join
            found |= seen_filter(endpoint__istartswith=word)
    network = _network_of(word)
    if network is None:
        return found
    if network.version == 6 and network.prefixlen == network.max_prefixlen:
        found |= seen_filter(endpoint__istartswith=f"[{network.network_address}]")
    host = instance.host_of(network.network_address)
    if host is not None:
        return found | Q(host=host)
    return found | Q(pk__in=_peers_around(network, instance))


def _network_of(word: str) -> Network | None:
    """A word parsed as a network or address, without its port; None if it is neither."""
    endpoint = _ENDPOINT.fullmatch(word)
    try:
        return ipaddress.ip_network(endpoint["v4"] or endpoint["v6"] if endpoint else word, strict=False)
    except ValueError:
        return None


def _peers_around(network: Network, instance: Instance) -> list[UUID]:
    """The peers that advertise this network or one that contains it: one query.

    Subnets are stored in canonical form, so the texts of all containing networks are looked up, without parsing.
    """
    around = {str(network.supernet(new_prefix=prefix)) for prefix in range(network.prefixlen + 1)}
    rows = instance.peers.filter(type=PeerType.SITE).order_by().values_list("pk", "subnets")
    return [pk for pk, subnets in rows if not around.isdisjoint(subnets)]
