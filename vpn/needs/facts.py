"""The facts from which the problems of hubs are derived: a constant number of queries for any number of hubs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from uuid import UUID

from vpn.addressing.networks import Network
from vpn.choices import InstanceState, OperationState, PeerType, Reachability
from vpn.desired.ways import Way, Ways, allowed_behind, private_part
from vpn.models import Instance, ListenerProof, Operation, Peer, RetiredHub
from vpn.needs.drift import Recurring, recurring_in, undone_lately
from vpn.needs.peer_facts import PeerFacts, peer_facts_of
from vpn.needs.reach import proofs_of_all
from vpn.validators import parse_network


@dataclass
class Facts:
    """Facts about one hub from rows other than the instance's own."""

    failing: list[ListenerProof] = field(default_factory=list)
    # Listeners that devices cannot reach at an address other than the first.
    failing_elsewhere: list[ListenerProof] = field(default_factory=list)
    proven: int = 0
    peers: PeerFacts = field(default_factory=PeerFacts)
    # Pushed routes whose packets the hub drops.
    lost_routes: list[str] = field(default_factory=list)
    # How many delivered profiles point to each address that the hub no longer has.
    left_addresses: dict[str, int] = field(default_factory=dict)
    # The names of the first owners of these profiles.
    cut_off: list[str] = field(default_factory=list)
    # Former servers that have not confirmed that their hub has ended.
    silent_formers: list[RetiredHub] = field(default_factory=list)
    recurring: Recurring | None = None
    # The running operations by kind: when they began, and how long they were expected to take.
    running: dict[str, Operation] = field(default_factory=dict)


# The names appear in one sentence, so the first few suffice.
_MOST_LOOKED_AT: Final = 200
_LONG: Final = ("certificate", "private_key_sealed", "tls_crypt_key_sealed")
_UNDER_WAY: Final = (InstanceState.PENDING, InstanceState.PROVISIONING, InstanceState.DELETING)


def facts_of(
    instances: Sequence[Instance],
    *,
    of_operator: bool = False,
    peers: Mapping[UUID, PeerFacts] | None = None,
    proofs: Iterable[ListenerProof] | None = None,
) -> dict[UUID, Facts]:
    """The facts by instance: at most seven queries, two of them if only the operator's facts are requested.

    `peers` are those of `peer_facts_of`, `proofs` those of `proofs_of_all`, if they are known already.
    """
    facts = {instance.pk: Facts() for instance in instances}
    running = [instance for instance in instances if instance.state == InstanceState.READY]
    ready = [instance.pk for instance in running]
    under_way = [instance.pk for instance in instances if instance.state in _UNDER_WAY]
    _add_proofs(facts, proofs_of_all(instances) if proofs is None else proofs)
    if ready and not of_operator:
        for pk, counted in (peer_facts_of(running) if peers is None else peers).items():
            facts[pk].peers = counted
        _add_lost_routes(facts, running)
        _add_left_addresses(facts, running)
        _add_silent_formers(facts, running)
        for pk, runs in undone_lately(ready).items():
            facts[pk].recurring = recurring_in(runs)
    if under_way:
        for operation in Operation.objects.filter(instance__in=under_way, state=OperationState.RUNNING):
            facts[operation.instance_id].running[operation.kind] = operation
    return facts


def _add_proofs(facts: dict[UUID, Facts], proofs: Iterable[ListenerProof]) -> None:
    for proof in proofs:
        if not proof.is_first:
            if proof.state == Reachability.UNREACHABLE:
                facts[proof.instance_id].failing_elsewhere.append(proof)
        elif proof.state == Reachability.PROVEN:
            facts[proof.instance_id].proven += 1
        else:
            facts[proof.instance_id].failing.append(proof)


def _add_lost_routes(facts: dict[UUID, Facts], ready: Sequence[Instance]) -> None:
    # A public network is at least routed to the internet.
    private = {
        one.pk: [text for text in one.pushed_routes if private_part(parse_network(text))]
        for one in ready
        if one.pushed_routes
    }
    asked = [one for one in ready if private.get(one.pk)]
    if not asked:
        return
    sites = Peer.objects.admitted().order_by().filter(instance__in=[one.pk for one in asked], type=PeerType.SITE)
    tunnels: dict[UUID, list[Network]] = {one.pk: [one.network_v4, one.network_v6] for one in asked}
    for instance_id, subnets in sites.values_list("instance_id", "subnets"):
        tunnels[instance_id] += [parse_network(text) for text in subnets]
    for one in asked:
        ways = Ways(tunnels[one.pk], allowed_behind(one))
        facts[one.pk].lost_routes += [text for text in private[one.pk] if ways.of(parse_network(text)) is Way.NOWHERE]


def _add_silent_formers(facts: dict[UUID, Facts], ready: Sequence[Instance]) -> None:
    moved = [one.pk for one in ready if one.earlier_addresses]
    if not moved:
        return
    silent = RetiredHub.objects.filter(instance__in=moved, forwarding_since=None, finding__isnull=False)
    for retired in silent.exclude(forwards_to=[]).select_related("server"):
        if retired.instance_id is not None:
            facts[retired.instance_id].silent_formers.append(retired)


def _add_left_addresses(facts: dict[UUID, Facts], ready: Sequence[Instance]) -> None:
    for instance in ready:
        # Former servers that forward count, too.
        own = (*instance.server.addresses, *instance.earlier_addresses) if instance.server is not None else ()
        delivered = facts[instance.pk].peers.hosts.items() if own else ()
        left = {host: count for host, count in delivered if host not in own and _is_address(host)}
        facts[instance.pk].left_addresses = left
    cut_off = {pk: set(one.left_addresses) for pk, one in facts.items() if one.left_addresses}
    if cut_off:
        peers = Peer.objects.admitted().filter(instance__in=cut_off, delivered_host__in=set().union(*cut_off.values()))
        named = peers.select_related("member__user", "site").defer(*_LONG)
        for peer in named.order_by("created_at", "id")[:_MOST_LOOKED_AT]:
            if peer.delivered_host in cut_off[peer.instance_id]:
                facts[peer.instance_id].cut_off.append(peer.label)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
