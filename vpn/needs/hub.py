"""The problems of hubs, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from vpn.choices import InstanceState, OperationKind, Reachability
from vpn.models import Instance, ListenerProof
from vpn.needs.facts import Facts, facts_of
from vpn.needs.need import Code, Need
from vpn.needs.peer_facts import PeerFacts
from vpn.needs.public_name import name_fails

# The hub is queried every few seconds. Without a report for this long, no worker runs or the hub does not answer.
SILENCE: Final = timedelta(seconds=60)
# By then several intervals have passed without a report: the worker or the server does not keep up.
LATE: Final = timedelta(seconds=30)
# An apply job ends after 30 s, and the claim of a dead one after 45 s: by then another job has finished.
APPLY_PATIENCE: Final = timedelta(seconds=90)
TEARDOWN_PATIENCE: Final = timedelta(minutes=3)
_PROVISION_FACTOR: Final = 2


def needs_of(instance: Instance) -> list[Need]:
    """The problems of this hub; empty if there are none. Five queries at most."""
    return needs_of_all([instance])[instance.pk]


def needs_of_all(
    instances: Sequence[Instance],
    *,
    of_operator: bool = False,
    peers: Mapping[UUID, PeerFacts] | None = None,
    proofs: Iterable[ListenerProof] | None = None,
) -> dict[UUID, list[Need]]:
    """`needs_of` by instance, with a constant number of queries.

    Servers, observations and public names should be joined.

    `of_operator` leaves out problems for an organization's admins: sites, routes, profiles, drift. `peers` are those
    of `peer_facts_of`, `proofs` those of `proofs_of_all`, if they are known already.
    """
    facts = facts_of(instances, of_operator=of_operator, peers=peers, proofs=proofs)
    return {instance.pk: list(_needs(instance, facts[instance.pk])) for instance in instances}


def _needs(instance: Instance, facts: Facts) -> Iterator[Need]:
    if instance.state == InstanceState.READY:
        yield from _of_running_hub(instance, facts)
        return
    need = partial(Need, instance=instance, facts=facts)
    if instance.state == InstanceState.LOST:
        yield need(Code.LOST)
    elif instance.state == InstanceState.FAILED:
        yield need(Code.PROVISIONING_FAILED)
    elif instance.state == InstanceState.DELETING:
        run = facts.running.get(OperationKind.DESTROY)
        if run is not None and timezone.now() - run.started_at > TEARDOWN_PATIENCE:
            yield need(Code.DELETION_STUCK, since=run.started_at)
    else:
        run = facts.running.get(OperationKind.PROVISION)
        if run is not None and timezone.now() - run.started_at > _longest(run.expected_seconds):
            yield need(Code.PROVISIONING_STUCK, since=run.started_at)


def _longest(expected_seconds: int) -> timedelta:
    return max(timedelta(seconds=_PROVISION_FACTOR * expected_seconds), timedelta(minutes=2))


def _of_running_hub(instance: Instance, facts: Facts) -> Iterator[Need]:
    now, need = timezone.now(), partial(Need, instance=instance, facts=facts)
    yield from _of_changes(instance, facts)
    lateness = _lateness(instance.seen.observed_at, now)
    if lateness == Code.HUB_SILENT:
        yield need(lateness, since=instance.seen.observed_at)
    if instance.server is not None and instance.server.speaks_otherwise:
        yield need(Code.AGENT_DIFFERS)
    yield from _of_listeners(instance, facts)
    if lateness == Code.HUB_LATE:
        yield need(lateness, since=instance.seen.observed_at)
    asked = instance.public_dns
    if asked and set(asked) <= set(instance.seen.silent_resolvers):
        yield need(Code.RESOLVER_SILENT)
    if facts.peers.silent_sites and lateness != Code.HUB_SILENT:
        yield need(Code.SITE_SILENT, since=facts.peers.silent_since)
    if facts.lost_routes:
        yield need(Code.ROUTE_NOWHERE)
    yield from _of_former_addresses(instance, facts)
    if name_fails(instance, facts.peers.hosts.get(instance.full_hostname, 0)):
        seen = instance.name_seen
        yield need(Code.NAME_UNPUBLISHED, since=seen.failing_since if seen is not None else None)
    if facts.recurring is not None:
        yield need(Code.DRIFT_RECURRING)


def _of_former_addresses(instance: Instance, facts: Facts) -> Iterator[Need]:
    if facts.silent_formers:
        yield Need(Code.FORMER_SERVER_SILENT, instance, facts, facts.silent_formers[0].retired_at)
    if facts.left_addresses:
        yield Need(Code.ADDRESS_CHANGED, instance, facts)


def _of_changes(instance: Instance, facts: Facts) -> Iterator[Need]:
    since = instance.lagging_since
    if instance.failure:
        yield Need(Code.APPLY_FAILED, instance, facts)
    elif not instance.is_up_to_date and since and timezone.now() - since > APPLY_PATIENCE:
        yield Need(Code.APPLY_STUCK, instance, facts, since)


def _lateness(observed_at: datetime | None, now: datetime) -> Code | None:
    """Whether the hub has not reported for too long; None if it has reported lately."""
    if observed_at is None or observed_at < now - SILENCE:
        return Code.HUB_SILENT
    return Code.HUB_LATE if observed_at < now - LATE else None


def _of_listeners(instance: Instance, facts: Facts) -> Iterator[Need]:
    unreachable = [proof for proof in facts.failing if proof.state == Reachability.UNREACHABLE]
    unproven = [proof for proof in facts.failing if proof.state == Reachability.UNPROVEN]
    # Listeners that fail for the same cause at all addresses, such as a firewall on the server, are one notice.
    is_one = _what_fails(unreachable) == _what_fails(facts.failing_elsewhere)

    def need(code: Code, proofs: Sequence[ListenerProof], *, is_partial: bool = False) -> Need:
        began = min((proof.failing_since for proof in proofs if proof.failing_since is not None), default=None)
        return Need(code, instance, facts, began, proofs, is_partial)

    if unreachable:
        failing = [*unreachable, *facts.failing_elsewhere] if is_one else unreachable
        yield need(Code.HUB_UNREACHABLE, failing, is_partial=facts.proven > 0)
    # A device that connected through the router proves that it forwards: one is enough, on any listener.
    if unproven and not facts.proven:
        yield need(Code.HUB_UNPROVEN, unproven)
    if facts.failing_elsewhere and not is_one:
        yield need(Code.ADDRESS_UNREACHABLE, facts.failing_elsewhere)


def _what_fails(proofs: Sequence[ListenerProof]) -> set[tuple[str, str]]:
    return {(proof.listener, proof.cause) for proof in proofs}
