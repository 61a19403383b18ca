"""Rows to HubSpec: what a hub should run, whole or as the difference to what it confirmed last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from django.db.models import Exists, OuterRef

from vpn.desired.firewall import Tags
from vpn.desired.header import Needed, header_of
from vpn.desired.peers import PLACEHOLDER_ID, PROBE_ID, admitted, document_of, placeholder, probe
from vpn.desired.trial import named_rules
from vpn.models import Instance, Peer
from vpn.wire import digests as wire_digests
from vpn.wire.documents import RuleDocument
from vpn.wire.identity import SCHEMA

_MODULUS = 2**256
_ATTEMPTS = 5
_Result = TypeVar("_Result")


class _Annotated(Protocol):
    """An instance with the annotations of `_consistently`."""

    has_peers: bool
    has_openvpn_peers: bool


@dataclass(frozen=True)
class Desired:
    """What to send to an agent, and what its confirmation will mean.

    `document` is a HubSpec or, with `is_delta`, a HubDelta; it holds keys and stays out of `repr`. `peer_digests` are
    those of the peers in it; `removed` the ids of removed peers. If `is_part` is true, the document only removes peers:
    everything else has to follow under another generation.
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
    is_part: bool = False

    @property
    def total_hex(self) -> str:
        """The sum of all peers' digests, in stored form."""
        return f"{self.total:064x}"


class ConcurrentChange(Exception):
    """The rows changed faster than they could be read; try again."""


def compile_spec(instance_id: UUID) -> Desired:
    """The whole desired state of one hub."""
    return _consistently(instance_id, _compile_whole)


def compile_digest(instance_id: UUID) -> tuple[int, str]:
    """The generation and the digest of the whole desired state, without its documents: they may take megabytes."""
    return _consistently(instance_id, _digest_whole)


def compile_placed(instance_id: UUID, placed: Callable[[Instance], Instance]) -> Desired:
    """The whole desired state of one hub as it would be elsewhere: `placed` returns a copy of the instance there."""
    return _consistently(instance_id, lambda instance, needed: _compile_whole(placed(instance), needed))


def compile_change(instance_id: UUID) -> Desired:
    """The smallest document that leads to the desired state: a delta if only peers changed, else the whole spec."""
    return _consistently(
        instance_id, lambda instance, needed: _compile_delta(instance, needed) or _compile_whole(instance, needed)
    )


def compile_removals(instance_id: UUID) -> Desired | None:
    """The smallest document that removes peers no longer admitted; None if there are none.

    It is based on what the server confirmed last, as any delta, and leaves the hub's settings unchanged.
    """
    return _consistently(instance_id, lambda instance, _: _compile_removals(instance))


def _consistently(instance_id: UUID, compiler: Callable[[Instance, Needed], _Result]) -> _Result:
    """Compile without holding a lock; repeat it if a change was committed meanwhile."""
    peers = Peer.objects.filter(instance=OuterRef("pk"))
    for _ in range(_ATTEMPTS):
        found = Instance.objects.select_related("server", "trial").annotate(
            has_peers=Exists(peers), has_openvpn_peers=Exists(peers.over_openvpn())
        )
        instance = found.get(pk=instance_id)
        annotated = cast("_Annotated", instance)
        result = compiler(instance, Needed(annotated.has_peers, annotated.has_openvpn_peers))
        now = Instance.objects.values_list("epoch", "desired_generation").get(pk=instance_id)
        if now == (instance.epoch, instance.desired_generation):
            return result
    raise ConcurrentChange


def _compile_whole(instance: Instance, needed: Needed) -> Desired:
    header = header_of(instance, needed)
    peers = dict(_peers(instance, header))
    header_digest = wire_digests.header_digest(header)
    digests = {peer_id: wire_digests.peer_digest(peer_id, peer) for peer_id, peer in peers.items()}
    total = sum(digests.values()) % _MODULUS
    return Desired(
        document={**header, "peers": peers},
        is_delta=False,
        epoch=instance.epoch,
        generation=instance.desired_generation,
        digest=wire_digests.spec_digest(header_digest, total),
        header_digest=header_digest,
        total=total,
        peer_digests={peer_id: f"{digest:064x}" for peer_id, digest in digests.items()},
    )


def _digest_whole(instance: Instance, needed: Needed) -> tuple[int, str]:
    header = header_of(instance, needed)
    total = sum(wire_digests.peer_digest(*each) for each in _peers(instance, header)) % _MODULUS
    digest = wire_digests.spec_digest(wire_digests.header_digest(header), total)
    return instance.desired_generation, digest


def _peers(instance: Instance, header: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the documents of all peers in a spec, with their ids."""
    tags = Tags(named_rules(header))
    for peer in admitted(instance):
        yield str(peer.pk), document_of(instance, peer, tags)
    yield PLACEHOLDER_ID, placeholder(instance)
    if instance.probe_private_key_sealed:
        yield PROBE_ID, probe(instance)


def _compile_delta(instance: Instance, needed: Needed) -> Desired | None:
    """The difference to what the server confirmed; None if other settings changed, or nothing is confirmed.

    Changes of rules, policy and revocations alter the header and are part of the delta. If something else altered it
    (such as the listeners for a first OpenVPN peer), the agent finds another digest and requests the whole spec.
    """
    base = instance.applied_generation
    if not can_be_delta(instance):
        return None
    header = header_of(instance, needed)
    header_digest = wire_digests.header_digest(header)
    along = _settings_of(header) if header_digest != instance.applied_header_digest else {}
    upsert, remove, before = _differences(instance, base, named_rules(header))
    digests = {peer_id: wire_digests.peer_digest(peer_id, peer) for peer_id, peer in upsert.items()}
    gone = sum(int(digest, 16) for digest in before if digest)
    total = (int(instance.applied_total, 16) - gone + sum(digests.values())) % _MODULUS
    return _delta(instance, header_digest, total, upsert, remove, along=along)


def _delta(
    instance: Instance,
    header_digest: str,
    total: int,
    upsert: dict[str, Any],
    remove: list[str],
    *,
    along: Mapping[str, Any] | None = None,
    is_part: bool = False,
) -> Desired:
    """A delta from what the server confirmed to this header and this sum of peers."""
    digest = wire_digests.spec_digest(header_digest, total)
    return Desired(
        document={
            "schema": SCHEMA,
            "hub": instance.hub,
            "epoch": instance.epoch,
            "generation": instance.desired_generation,
            "base": {"generation": instance.applied_generation, "digest": instance.applied_digest},
            "digest": digest,
            "upsert": upsert,
            "remove": remove,
            **(along or {}),
        },
        is_delta=True,
        epoch=instance.epoch,
        generation=instance.desired_generation,
        digest=digest,
        header_digest=header_digest,
        total=total,
        peer_digests={peer_id: f"{wire_digests.peer_digest(peer_id, peer):064x}" for peer_id, peer in upsert.items()},
        removed=tuple(remove),
        is_part=is_part,
    )


def _compile_removals(instance: Instance) -> Desired | None:
    rows = instance.peers.filter(changed_generation__gt=instance.applied_generation)
    rows, tombstones = rows.select_related("member__user", "site"), instance.tombstones.all()
    if instance.lease_token is None:
        # Otherwise a spec may be under way that brings a peer to the hub for the first time.
        rows, tombstones = rows.exclude(applied_digest=""), tombstones.exclude(applied_digest="")
    ended = {str(peer.pk): peer.applied_digest for peer in rows if not peer.is_admitted}
    ended |= {str(peer_id): digest for peer_id, digest in tombstones.values_list("peer_id", "applied_digest")}
    if not ended or not _is_base_known(instance):
        return None
    total = (int(instance.applied_total, 16) - sum(int(digest or "0", 16) for digest in ended.values())) % _MODULUS
    return _delta(instance, instance.applied_header_digest, total, {}, list(ended), is_part=True)


def _is_base_known(instance: Instance) -> bool:
    return bool(instance.applied_total) and instance.applied_epoch == instance.epoch


def can_be_delta(instance: Instance) -> bool:
    """May the difference to what the server confirmed be sent alone?"""
    return _is_base_known(instance) and instance.whole_generation <= instance.applied_generation


def _settings_of(header: dict[str, Any]) -> dict[str, Any]:
    """The part of a header that a delta can carry."""
    settings = {"rules": header["rules"], "forwarding": header["forwarding"]}
    return settings if header["openvpn"] is None else {**settings, "crl": header["openvpn"]["crl"]}


def _differences(
    instance: Instance, base: int, rules: list[RuleDocument]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Since generation `base`: the new or changed peers, the ids of removed ones, and their previous digests."""
    upsert: dict[str, Any] = {}
    remove: list[str] = []
    before: list[str] = []
    changed = list(instance.peers.filter(changed_generation__gt=base).select_related("member__user", "site"))
    tags = Tags(rules, changed)
    for peer in changed:
        before.append(peer.applied_digest)
        if peer.is_admitted:
            upsert[str(peer.pk)] = document_of(instance, peer, tags)
        elif peer.applied_digest:
            remove.append(str(peer.pk))
    for peer_id, applied_digest in instance.tombstones.values_list("peer_id", "applied_digest"):
        if applied_digest:
            before.append(applied_digest)
            remove.append(str(peer_id))
    return upsert, remove, before
