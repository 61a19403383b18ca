"""Finding peers in an instance's list: by words, address and kind."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.http import QueryDict

from portal.models import Membership
from vpn.access import peers_of
from vpn.choices import PeerType
from vpn.models import Instance, Peer
from vpn.models.querysets import PeerQuerySet, connected_filter
from vpn.views.outdated import outdated_of

PEERS_EACH_PAGE = 50
_LONGEST_SEARCH = 100


class Filter(NamedTuple):
    """One way to narrow the list."""

    value: str
    label: str


FILTERS = (
    Filter("all", "All"),
    Filter("sites", "Sites"),
    Filter("clients", "Clients"),
    Filter("offline", "Offline"),
    Filter("outdated", "Outdated"),
)
_VALUES = {one.value for one in FILTERS}


@dataclass(frozen=True)
class PeerSearch:
    """What is searched for: `text` in names, addresses and subnets; `show` one of FILTERS."""

    text: str = ""
    show: str = "all"

    @classmethod
    def from_query(cls, query: QueryDict) -> PeerSearch:
        """From `?q=…&show=…`; what is not known shows everything."""
        show = query.get("show", "all")
        # PostgreSQL cannot even look for a NUL.
        text = query.get("q", "").replace("\x00", "").strip()
        return cls(text=text[:_LONGEST_SEARCH], show=show if show in _VALUES else "all")

    @property
    def is_narrow(self) -> bool:
        """Does it leave any peer out?"""
        return bool(self.text) or self.show != "all"

    def as_query(self) -> str:
        """The query string that leads here, ending in "&" unless empty."""
        given = {"q": self.text, "show": "" if self.show == "all" else self.show}
        text = urlencode({key: value for key, value in given.items() if value})
        return f"{text}&" if text else ""

    def find(self, member: Membership, instance: Instance) -> PeerQuerySet:
        """The matching peers of an instance, sites first."""
        found = peers_of(member, instance).select_related(None)
        if self.show in {"sites", "clients"}:
            found = found.filter(type=PeerType.SITE if self.show == "sites" else PeerType.CLIENT)
        elif self.show == "offline":
            found = found.exclude(connected_filter())
        elif self.show == "outdated":
            found = found.filter(pk__in=outdated_of(instance).ids)
        if self.text:
            found = found.filter(_matches(self.text, instance))
        return found.order_by("-type", "created_at", "id")

    def page(self, member: Membership, instance: Instance, *, number: str | None, total: int) -> Page[Peer]:
        """One page of the matching peers. `total` is the number of all peers, known already.

        The database sorts ids alone, then reads the rows of this page.
        """
        pages = Paginator(self.find(member, instance).values_list("pk", flat=True), PEERS_EACH_PAGE)
        if not self.is_narrow:
            pages.count = total
        page: Page[Any] = pages.get_page(number)
        ids = list(page.object_list)
        rows = peers_of(member, instance).select_related(None).select_related("member__user", "site").in_bulk(ids)
        for row in rows.values():
            row.instance = instance
        page.object_list = [rows[pk] for pk in ids if pk in rows]
        return page


def _matches(text: str, instance: Instance) -> Q:
    words = Q(
        Q(site__name__icontains=text)
        | Q(device__icontains=text)
        | Q(member__user__name__icontains=text)
        | Q(member__user__email__icontains=text)
        | Q(subnets__icontains=text)
        | Q(dns_label__icontains=text)
        | Q(member__slug__icontains=text)
        | Q(endpoint__istartswith=text)
    )
    host = _host_number(text, instance)
    return words if host is None else words | Q(host=host)


def _host_number(text: str, instance: Instance) -> int | None:
    """The peer's number in the pools where the text is one of their addresses."""
    try:
        address = ipaddress.ip_address(text.partition("/")[0])
    except ValueError:
        return None
    network = instance.network_v4 if address.version == 4 else instance.network_v6
    return int(address) - int(network.network_address) if address in network else None
