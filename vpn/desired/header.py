"""The part of a spec about the hub itself, without its peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vpn.addressing.pools import HUB_HOST
from vpn.desired.firewall import rules_of
from vpn.desired.trial import trial_of
from vpn.desired.ways import opened_behind
from vpn.models import Instance
from vpn.models.peer import with_compat
from vpn.wire.identity import SCHEMA


@dataclass(frozen=True)
class Needed:
    """Which daemons besides WireGuard the hub's peers need: a hub without peers needs no resolver."""

    resolver: bool
    openvpn: bool


def header_of(instance: Instance, needed: Needed) -> dict[str, Any]:
    """A spec without its peers."""
    trial = trial_of(instance)
    return {
        "schema": SCHEMA,
        "hub": instance.hub,
        "epoch": instance.epoch,
        "generation": instance.desired_generation,
        "addresses": hub_addresses(instance),
        "wireguard": {"port": instance.wireguard_port, "private_key": instance.private_key, "mtu": instance.mtu},
        "forwarding": instance.firewall_policy,
        "rules": rules_of(instance),
        "openvpn": _openvpn(instance) if needed.openvpn else None,
        "pushed_routes": instance.pushed_routes,
        # Every peer uses the hub as resolver. The hub forwards names that it does not know to `public_dns`.
        "dns": [str(host) for host in instance.host_addresses(HUB_HOST)],
        "search_domains": instance.search_domains,
        "resolver": resolver_of(instance) if needed.resolver else None,
        "server": server_of(instance),
        # Left out where there is none: agents of older releases do not know it.
        **({"trial": trial} if trial is not None else {}),
    }


def server_of(instance: Instance) -> dict[str, Any] | None:
    """The hub's server as seen from its tunnels; None if nothing is known about it."""
    server = instance.server
    if server is None or not server.addresses:
        return None
    return {
        "addresses": list(server.addresses),
        "networks": opened_behind(instance),
        "portal_port": server.portal_port,
    }


def resolver_of(instance: Instance) -> dict[str, Any]:
    """The hub's DNS: records, domains and upstream servers. The names of peers are in the peers' documents."""
    records = instance.dns_records.values("name", "type", "value").order_by("name", "type", "value")
    return {
        "domain": instance.full_hostname,
        "public_addresses": list(instance.server.addresses) if instance.server is not None else [],
        "upstreams": instance.public_dns,
        "domains": instance.domains,
        "domain_servers": instance.split_dns,
        "records": list(records),
    }


def hub_addresses(instance: Instance) -> list[str]:
    """The hub's own tunnel addresses, with the prefix lengths of the pools."""
    pool_v4, pool_v6 = instance.network_v4, instance.network_v6
    hub_v4, hub_v6 = instance.host_addresses(HUB_HOST)
    return [f"{hub_v4}/{pool_v4.prefixlen}", f"{hub_v6}/{pool_v6.prefixlen}"]


def _openvpn(instance: Instance) -> dict[str, Any] | None:
    """The OpenVPN listeners; the compatibility listener only while a router needs it."""
    if not instance.has_certificates:
        return None
    return {
        "ca": instance.authority_certificate,
        "certificate": instance.server_certificate,
        "private_key": instance.server_key,
        "crl": instance.revocation_list,
        "tls_crypt_v2": instance.tls_crypt_key,
        "udp_port": instance.openvpn_port,
        "tcp_port": instance.openvpn_port,
        "compat_port": instance.compat_port if with_compat([instance.pk]) else None,
    }
