"""The choice between the hub's IPv4 and IPv6 address for a WireGuard file, which holds only one endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest
from django.utils.translation import gettext as _

from vpn.models import Peer
from vpn.profiles.peer import carried_name
from vpn.profiles.wireguard import endpoint


@dataclass(frozen=True)
class FamilyChoice:
    """The address family of a file's endpoint, the other family, and a hint if that may be better."""

    family: int
    endpoint: str
    other_family: int
    hint: str


def asked_family(request: HttpRequest) -> int | None:
    """The family that the form requests, or None."""
    return {"4": 4, "6": 6}.get(request.POST.get("family", ""))


def family_choice(request: HttpRequest, peer: Peer) -> FamilyChoice | None:
    """The reader's choice; None for OpenVPN, whose file lists all addresses, and if the hub has one address."""
    server = peer.instance.server
    if asked_family(request) is None and carried_name(peer):
        return None  # the device resolves the name over the families that it has
    if peer.is_openvpn or server is None or len(server.addresses) < 2:
        return None
    by_family = {ip_address(address).version: address for address in server.addresses}
    family = asked_family(request) or ip_address(server.addresses[0]).version
    other = 10 - family
    if family not in by_family or other not in by_family:
        return None
    port = peer.instance.wireguard_port
    return FamilyChoice(
        family=family,
        endpoint=endpoint(by_family[family], port),
        other_family=other,
        hint=_hint(request, other),
    )


def _hint(request: HttpRequest, other: int) -> str:
    if _reader_family(request) != other:
        return ""
    words = _("You are reading this over IPv%(family)d: if the device is on this network, IPv%(family)d works there.")
    return words % {"family": other}


def _reader_family(request: HttpRequest) -> int | None:
    """The address family of the reader's connection; None for a loopback address."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return 4
    return None if address.is_loopback else address.version
