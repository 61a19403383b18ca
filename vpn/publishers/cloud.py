"""Publishes names at a DNS provider."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from portal.running.dns_url import ProviderDns
from vpn import failures
from vpn.publishers.authorities import first_lagging, servers_of
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.marks import check_inside, mark_name, mark_of
from vpn.publishers.provider_zone import ProviderZone

_TYPES: Final = ("A", "AAAA")


class ProviderRecords:
    """The publisher of DNS_URL=libcloud+PROVIDER://…

    Providers take no conditions with a change. So two portals in one zone could take the same new name at once.
    """

    def __init__(self, options: ProviderDns) -> None:
        self._options = options

    def publish(self, name: str, owner: UUID, addresses: Collection[str], patience: Patience) -> bool:
        """As Publisher.publish."""
        check_inside(name, self._options.zone)
        zone = ProviderZone(self._options, patience)
        wanted = {"AAAA" if ":" in address else "A": address for address in addresses}
        for newest in (False, True):
            if _marked(zone, name, owner, newest=newest) and _addresses(zone, name) == sorted(wanted.items()):
                return False
        there = zone.entries(name)
        if not _marked(zone, name, owner):
            if there or zone.entries(mark_name(name)):
                raise NotPublished(failures.NAME_TAKEN.of(name))
            zone.create(mark_name(name), "TXT", mark_of(owner))
        for kind in _TYPES:
            former = [one for one in there if one.kind == kind]
            if kind in wanted:
                zone.replace(former, name, kind, wanted[kind])
            else:
                zone.remove(former)
        return True

    def withdraw(self, name: str, owner: UUID, patience: Patience) -> None:
        """As Publisher.withdraw."""
        check_inside(name, self._options.zone)
        zone = ProviderZone(self._options, patience)
        if not _marked(zone, name, owner, newest=True):
            return
        there = [one for one in zone.entries(name) if one.kind in _TYPES]
        # The mark last, so that an attempt that ends before is made again.
        zone.remove(there + [one for one in zone.entries(mark_name(name)) if one.kind == "TXT"])

    def lagging(self, name: str, addresses: Collection[str], patience: Patience) -> str:
        """As Publisher.lagging."""
        return first_lagging(servers_of(self._options.zone, patience), name, frozenset(addresses), patience)


def _marked(zone: ProviderZone, name: str, owner: UUID, *, newest: bool = False) -> bool:
    """Has the name this owner's mark?"""
    marks = zone.entries(mark_name(name), newest=newest)
    return any(one.kind == "TXT" and one.value == mark_of(owner) for one in marks)


def _addresses(zone: ProviderZone, name: str) -> list[tuple[str, str]]:
    return sorted((one.kind, one.value) for one in zone.entries(name) if one.kind in _TYPES)
