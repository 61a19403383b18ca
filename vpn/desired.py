"""Rows to HubSpec: what a hub should run, whole or as the difference to what it confirmed last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from vpn import keys
from vpn.addressing import HUB_HOST, host_addresses, probe_host
from vpn.agent import spec as agent_spec
from vpn.choices import Protocol
from vpn.models import Instance, Peer
from vpn.models.peer import with_compat
from vpn.validators import parse_network

SCHEMA = agent_spec.SCHEMA
# The key of the probe in a spec's peers: a fixed UUID that no peer has.
PROBE_ID = str(UUID(int=0))
# The peer that has the pool's addresses which are nobody's; no private key belongs to its public key.
NOBODY_ID = str(UUID(int=1))
_NOBODYS_KEY = keys.encode_key(hashlib.sha256(b"vpn.desired: nobody").digest())
_MODULUS = 2**256
_ATTEMPTS = 5
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Desired:
    """What to send to an agent, and what its confirmation will mean.

    `document` is a HubSpec or, with `is_delta`, a HubDelta; it holds keys and stays out of `repr`. `peer_digests` are
    those of the peers in it; `removed` the ids that leave.
    """

    document: dict[str, Any] = field(repr=False)
    is_delta: bool
    epoch: int
    generation: int
    digest: str
    header_digest: str
    total: int
    peer_digests: dict[str, str]
    removed: tuple[str, ...] = ()

    @property
    def total_hex(self) -> str:
        """The sum of all peers' digests, as it is stored."""
        return f"{self.total:064x}"


class Unsettled(Exception):
    """The rows changed faster than they could be read; try again."""


def compile_spec(instance_id: UUID) -> Desired:
    """The whole desired state of one hub."""
    return _consistently(instance_id, _compile_whole)


def compile_change(instance_id: UUID) -> Desired:
    """The shortest way to the desired state: a delta where only peers changed, else the whole spec."""
    return _consistently(instance_id, lambda instance: _compile_delta(instance) or _compile_whole(instance))


def _consistently(instance_id: UUID, compiler: Callable[[Instance], _Result]) -> _Result:
    """Compile without holding a lock, and again if a change was committed meanwhile."""
    for _ in range(_ATTEMPTS):
        instance = Instance.objects.get(pk=instance_id)
        result = compiler(instance)
        now = Instance.objects.values_list("epoch", "desired_generation").get(pk=instance_id)
        if now == (instance.epoch, instance.desired_generation):
            return result
    raise Unsettled


def _compile_whole(instance: Instance) -> Desired:
    peers = {str(peer.pk): _peer(instance, peer) for peer in _admitted(instance)}
    peers[NOBODY_ID] = _nobody(instance)
    if instance.probe_private_key_sealed:
        peers[PROBE_ID] = _probe(instance)
    header = _header(instance)
    header_digest = agent_spec.header_digest(header)
    digests = {peer_id: agent_spec.peer_digest(peer_id, peer) for peer_id, peer in peers.items()}
    total = sum(digests.values()) % _MODULUS
    return Desired(
        document={**header, "peers": peers},
        is_delta=False,
        epoch=instance.epoch,
        generation=instance.desired_generation,
        digest=agent_spec.spec_digest(header_digest, total),
        header_digest=header_digest,
        total=total,
        peer_digests={peer_id: f"{digest:064x}" for peer_id, digest in digests.items()},
    )


def _compile_delta(instance: Instance) -> Desired | None:
    """The difference to what the server confirmed; None where more than peers changed, or nothing is confirmed."""
    base = instance.applied_generation
    if not instance.applied_total or instance.settings_generation > base or instance.applied_epoch != instance.epoch:
        return None
    if agent_spec.header_digest(_header(instance)) != instance.applied_header_digest:
        return None  # A certificate was revoked, or the first router needs the compatibility listener.
    upsert, remove, before = _differences(instance, base)
    digests = {peer_id: agent_spec.peer_digest(peer_id, peer) for peer_id, peer in upsert.items()}
    gone = sum(int(digest, 16) for digest in before if digest)
    total = (int(instance.applied_total, 16) - gone + sum(digests.values())) % _MODULUS
    digest = agent_spec.spec_digest(instance.applied_header_digest, total)
    return Desired(
        document={
            "schema": SCHEMA,
            "hub": instance.hub,
            "epoch": instance.epoch,
            "generation": instance.desired_generation,
            "base": {"generation": base, "digest": instance.applied_digest},
            "digest": digest,
            "upsert": upsert,
            "remove": remove,
        },
        is_delta=True,
        epoch=instance.epoch,
        generation=instance.desired_generation,
        digest=digest,
        header_digest=instance.applied_header_digest,
        total=total,
        peer_digests={peer_id: f"{value:064x}" for peer_id, value in digests.items()},
        removed=tuple(remove),
    )


def _differences(instance: Instance, base: int) -> tuple[dict[str, Any], list[str], list[str]]:
    """Since the generation `base`: the peers that came or changed, the ids that leave, and the digests of before."""
    upsert: dict[str, Any] = {}
    remove: list[str] = []
    before: list[str] = []
    changed = instance.peers.filter(changed_generation__gt=base).select_related("member__user", "site")
    for peer in changed:
        before.append(peer.applied_digest)
        if peer.is_admitted:
            upsert[str(peer.pk)] = _peer(instance, peer)
        elif peer.applied_digest:
            remove.append(str(peer.pk))
    for peer_id, applied_digest in instance.tombstones.values_list("peer_id", "applied_digest"):
        if applied_digest:
            before.append(applied_digest)
            remove.append(str(peer_id))
    return upsert, remove, before


def _admitted(instance: Instance) -> Iterable[Peer]:
    found = instance.peers.admitted().select_related("site")
    columns = (
        "instance",
        "host",
        "protocol",
        "type",
        "public_key",
        "preshared_key_sealed",
        "subnets",
        "route_all",
        "site",
    )
    return found.only(*columns, "site__platform", "site__platform_version").iterator(2000)


def _header(instance: Instance) -> dict[str, Any]:
    pool_v4, pool_v6 = instance.network_v4, instance.network_v6
    hub_v4, hub_v6 = host_addresses(pool_v4, pool_v6, HUB_HOST)
    return {
        "schema": SCHEMA,
        "hub": instance.hub,
        "epoch": instance.epoch,
        "generation": instance.desired_generation,
        "addresses": [f"{hub_v4}/{pool_v4.prefixlen}", f"{hub_v6}/{pool_v6.prefixlen}"],
        "wireguard": {"port": instance.wireguard_port, "private_key": instance.private_key, "mtu": instance.mtu},
        "forwarding": "allow",
        "openvpn": _openvpn(instance),
        "pushed_routes": instance.pushed_routes,
        "dns": instance.public_dns,
    }


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


def _peer(instance: Instance, peer: Peer) -> dict[str, Any]:
    address_v4, address_v6 = host_addresses(instance.network_v4, instance.network_v6, peer.host)
    subnets = [str(parse_network(text)) for text in peer.subnets]
    if peer.is_openvpn:
        return {
            "protocol": Protocol.OPENVPN,
            "common_name": str(peer.pk),
            "addresses": [f"{address_v4}/32", f"{address_v6}/128"],
            "routes": subnets,
            "route_all": peer.route_all,
            "compat": peer.site is not None and peer.site.needs_compat,
        }
    return {
        "public_key": peer.public_key,
        "preshared_key": peer.preshared_key,
        # A broad route goes as it is: the more specific of two wins in WireGuard's table as it does in the kernel's,
        # and what no tunnel may carry is the firewall's business.
        "allowed_ips": [f"{address_v4}/32", f"{address_v6}/128", *subnets],
        "routes": subnets,
    }


def _nobody(instance: Instance) -> dict[str, Any]:
    """Who has the rest of the pool, so that a peer with a broad route cannot speak for an address not in use."""
    return {
        "public_key": _NOBODYS_KEY,
        "preshared_key": None,
        "allowed_ips": [str(instance.network_v4), str(instance.network_v6)],
        "routes": [],
    }


def _probe(instance: Instance) -> dict[str, Any]:
    address_v4, address_v6 = host_addresses(instance.network_v4, instance.network_v6, probe_host(instance.network_v4))
    return {
        "public_key": keys.public_key(instance.probe_private_key),
        "preshared_key": instance.probe_preshared_key,
        "allowed_ips": [f"{address_v4}/32", f"{address_v6}/128"],
        "routes": [],
    }
