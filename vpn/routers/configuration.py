"""The configuration that a router's follower applies, as lines, and the fingerprint by which both sides compare it.

`vpn/routers/follow.sh` reads it: a word, a space and a value on each line, and at its end the part for wg(8).
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, IPv6Network

from django.conf import settings

from vpn.constants import MAX_MTU, MIN_MTU
from vpn.models import Instance, Peer
from vpn.profiles.known import known_digests
from vpn.profiles.names import tag_of_peer
from vpn.profiles.peer import carried_name, profile_of, resolver_of
from vpn.profiles.router import (
    SiteRouter,
    checked_key,
    checked_number,
    device_of,
    interface_addresses,
    metric_of,
    networks,
)
from vpn.profiles.wireguard import WireGuardProfile, endpoint

FORMAT = "# vpn-portal 1"
END = "# end"
# The least seconds between two check-ins: cron knows no shorter time.
LEAST_INTERVAL = 60


def fingerprint_of(peer: Peer) -> str:
    """What tells one configuration of a WireGuard site peer from another; no query if its hub's sites are known."""
    instance = peer.instance
    parts = (
        FORMAT,
        known_digests(instance).of_wireguard(peer),
        endpoint_of(peer),
        # It changes with each new key, and no less often than the key.
        hashlib.sha256(peer.preshared_key_sealed.encode()).hexdigest(),
        str(settings.ROUTER_CHECK_IN_SECONDS),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def endpoint_of(peer: Peer) -> str:
    """The hub's name or first address, as the router's configuration has it; "" while it has none."""
    return carried_name(peer) or next(iter(_addresses(peer.instance)), "")


def _addresses(instance: Instance) -> tuple[str, ...]:
    return tuple(instance.server.addresses) if instance.server is not None else ()


def configuration_of(peer: Peer) -> str:
    """The lines that a router applies. They hold the preshared key, but no private one.

    Raises NoAddress, or ValueError for a value that its line may not hold.
    """
    profile = profile_of(peer, sites=known_digests(peer.instance).sites)
    tag = tag_of_peer(peer)
    routes = networks(profile.allowed_ips)
    lines = [
        FORMAT,
        f"device {device_of(SiteRouter(name='', subnets=(), tag=tag))}",
        f"fingerprint {fingerprint_of(peer)}",
        f"interval {checked_number(settings.ROUTER_CHECK_IN_SECONDS, LEAST_INTERVAL, 86_400)}",
        f"mtu {checked_number(profile.mtu, MIN_MTU, MAX_MTU)}",
        f"metric {metric_of(tag)}",
        f"hub {resolver_of(peer.instance)[0]}",
    ]
    lines += [f"address {address}" for address in interface_addresses(profile.addresses)]
    lines += [f"route {network}" for network in routes]
    return "\n".join([*lines, *_for_wg(profile, routes), END]) + "\n"


def with_token(configuration: str, token: str) -> str:
    """A configuration with a new check-in token, which takes the place of the router's former one."""
    return configuration.replace(f"{FORMAT}\n", f"{FORMAT}\ntoken {token}\n", 1)


def token_alone(token: str) -> str:
    """A new check-in token for a router whose configuration stays as it is."""
    return f"{FORMAT}\ntoken {token}\n{END}\n"


def _for_wg(profile: WireGuardProfile, routes: tuple[IPv4Network | IPv6Network, ...]) -> list[str]:
    lines = ["[Peer]", f"PublicKey = {checked_key(profile.hub_public_key)}"]
    if profile.preshared_key:
        lines.append(f"PresharedKey = {checked_key(profile.preshared_key)}")
    lines.append(f"Endpoint = {endpoint(profile.endpoint_host, profile.endpoint_port)}")
    lines.append("AllowedIPs = " + ", ".join(map(str, routes)))
    if profile.keepalive:
        lines.append(f"PersistentKeepalive = {checked_number(profile.keepalive, 1, 65535)}")
    return lines
