"""In which office a device is: its connection comes from the public address of a site of its own hub."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from uuid import UUID

from django.db.models import Q

from vpn.choices import PeerType
from vpn.models import Peer
from vpn.observed.connections import address_of

# Every host of a LAN has an IPv6 address of its own, in one network of this length (RFC 4291, 2.5.4).
_LAN_LENGTH = 64
# Where a device is: its hub, and the IPv4 address or IPv6 network.
_Place = tuple[UUID, str]


def sites_beside(devices: Collection[Peer]) -> dict[UUID, str]:
    """The name of the site by the id of the connected device that is there; one query."""
    places = {peer.pk: place for peer in devices if peer.is_connected and (place := _place(peer)) is not None}
    if not places:
        return {}
    rows = Peer.objects.connected().filter(
        _from({where for _, where in places.values()}),
        type=PeerType.SITE,
        instance__in={instance_id for instance_id, _ in places.values()},
    )
    found = rows.order_by("site__name").select_related(None)
    there: dict[_Place, str] = {}
    for instance_id, endpoint, name in found.values_list("instance_id", "observation__endpoint", "site__name"):
        if (where := _where(endpoint)) is not None:
            there.setdefault((instance_id, where), name)
    return {pk: there[place] for pk, place in places.items() if place in there}


def _place(peer: Peer) -> _Place | None:
    where = _where(peer.seen.endpoint)
    return None if where is None else (peer.instance_id, where)


def _where(endpoint: str) -> str | None:
    try:
        address: IPv4Address | IPv6Address = ip_address(address_of(endpoint))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _LAN_LENGTH), strict=False))
    return str(address)


def _from(places: Collection[str]) -> Q:
    """Endpoints that may be there. How an IPv6 address is written depends on its host part."""
    found = Q()
    for place in places:
        found |= Q(observation__endpoint__startswith="[" if ":" in place else f"{place}:")
    return found
