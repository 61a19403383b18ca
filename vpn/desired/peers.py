"""The peers in a spec, and two additional ones that have no row."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from vpn import keys
from vpn.addressing.pools import probe_host
from vpn.choices import Protocol
from vpn.desired.firewall import Tags
from vpn.models import Instance, Peer
from vpn.validators import parse_network
from vpn.wire.peers import EXIT_CLIENT, EXIT_SITE

# The key of the probe in a spec's peers: a fixed UUID that no peer has.
PROBE_ID = str(UUID(int=0))
# Placeholder peer that owns all unassigned pool addresses. Without it, a peer with a broad route could use them as its
# source. Its public key has no private key.
PLACEHOLDER_ID = str(UUID(int=1))
# Rows that are in memory at the same time: some kilobytes each.
_AT_ONCE = 250
PLACEHOLDER_KEY = keys.encode_key(hashlib.sha256(b"vpn.desired: nobody").digest())


def admitted(instance: Instance) -> Iterable[Peer]:
    """The peers that the hub should admit, with the columns that a spec needs."""
    found = instance.peers.admitted().select_related("site", "member")
    columns = (
        "instance",
        "host",
        "protocol",
        "type",
        "public_key",
        "preshared_key_sealed",
        "former_protocol",
        "former_public_key",
        "former_preshared_key_sealed",
        "subnets",
        "route_all",
        "is_exit",
        "exit_site",
        "expires_at",
        "unused_until",
        "dns_label",
        "site",
        "member",
    )
    return found.only(*columns, "site__platform", "site__platform_version", "member__slug").iterator(_AT_ONCE)


def document_of(instance: Instance, peer: Peer, tags: Tags) -> dict[str, Any]:
    """One peer as a document of a spec."""
    document = _connection_of(instance, peer, peer.protocol, peer.public_key, peer.preshared_key)
    if peer.former_protocol:
        document["former"] = _connection_of(
            instance, peer, peer.former_protocol, peer.former_public_key, peer.former_preshared_key
        )
    # Empty values are left out, as the agent does, so that both sides compute the same digest.
    if (end := peer.ends_at) is not None:
        # the agent must not end it before the portal says so
        document["expires_at"] = math.ceil(end.timestamp())
    if own_tags := tags.of(peer):
        document["tags"] = own_tags
    if peer.relative_name:
        document["names"] = [peer.relative_name]
    if part := _exit_part(peer):
        document["exit"] = part
    return document


def _exit_part(peer: Peer) -> str:
    """A site's or a client's part in an exit; "" if it has none. Only WireGuard sites are exits."""
    if peer.is_exit and not peer.is_openvpn:
        return EXIT_SITE
    return EXIT_CLIENT if peer.exit_site_id is not None and peer.route_all else ""


def _connection_of(
    instance: Instance, peer: Peer, protocol: str, public_key: str, preshared_key: str
) -> dict[str, Any]:
    """How the peer connects over a protocol, and its own networks."""
    addresses = list(instance.own_networks(peer.host))
    subnets = canonical_subnets(peer.subnets)
    if protocol == Protocol.OPENVPN:
        document = {
            "protocol": Protocol.OPENVPN,
            "common_name": str(peer.pk),
            "addresses": addresses,
            "routes": subnets,
            "route_all": peer.route_all,
            "compat": peer.site is not None and peer.site.needs_compat,
        }
        # Left out where it is false, as the agent does.
        return document | {"static_routes": True} if peer.site is not None and peer.site.has_static_routes else document
    return {
        "public_key": public_key,
        "preshared_key": preshared_key,
        # A broad route is sent unchanged: in WireGuard's table, as in the kernel's, the more specific route wins. The
        # firewall drops addresses that no tunnel may carry.
        "allowed_ips": [*addresses, *subnets],
        "routes": subnets,
    }


def canonical_subnets(subnets: Iterable[str]) -> list[str]:
    """The subnets behind a peer, in the form of specs."""
    return [str(parse_network(text)) for text in subnets]


def placeholder(instance: Instance) -> dict[str, Any]:
    """Placeholder peer that owns all unassigned pool addresses.

    Without it, a peer with a broad route could use them as its source.
    """
    return {
        "public_key": PLACEHOLDER_KEY,
        "preshared_key": None,
        "allowed_ips": [str(instance.network_v4), str(instance.network_v6)],
        "routes": [],
    }


def probe(instance: Instance) -> dict[str, Any]:
    """The peer that proves readiness."""
    address_v4, address_v6 = instance.host_addresses(probe_host(instance.network_v4))
    return {
        "public_key": keys.public_key(instance.probe_private_key),
        "preshared_key": instance.probe_preshared_key,
        "allowed_ips": [f"{address_v4}/32", f"{address_v6}/128"],
        "routes": [],
    }
