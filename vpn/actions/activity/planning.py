"""Plans: what a change means for users.

The plan of a saved change is stored with it and computed later. A preview computes the plan of a change that is rolled
back. No plan is computed within a transaction. An action records what it touches, before and after (vpn.plan.delta);
the remaining rows are read later, without any lock.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from portal.actions.acting import acted
from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity.previewing import asked, is_preview
from vpn.actions.change import Scope, changing
from vpn.choices import PeerType, PlanState
from vpn.desired import ConcurrentChange
from vpn.desired.firewall import GroupChange
from vpn.models import ChangePlan, FirewallRule, Instance, Peer
from vpn.models.querysets import PeerQuerySet, seen_filter
from vpn.plan.delta import Delta, PeerDocument, Record, Rules
from vpn.plan.explaining import MOST_STEPS, Plan, explain, together
from vpn.plan.rows import Row, read_rows
from vpn.plan.snapshot import snapshot

MOST_NOTED_LINES = 200
_CHUNK = 500  # ids in one query
# Limits for plans that a page waits for: about a tenth of a second.
FEW_STEPS = 100_000
_FEW_PEERS = 500
_FEW_SITES = 20
FEW_RULES = 200
# The columns of an instance on which reachability and profiles depend.
_FIELDS = (
    "name",
    "hostname",
    "pool_v4",
    "pool_v6",
    "pool_origin",
    "port_base",
    "mtu",
    "pushed_routes",
    "public_dns",
    "split_dns",
    "domains",
    "firewall_policy",
    "management_services",
    "management_sources",
    "public_key",
    "authority_certificate",
)


class ChangePreview(NamedTuple):
    """What a previewed change would do to one instance; one of these for each step of the change."""

    instance_id: UUID
    delta: Delta


class Recorder:
    """Records what a change does to a locked instance."""

    def __init__(self, instance: Instance, group_change: GroupChange | None) -> None:
        self._fields = _fields_of(instance)
        self._peers: dict[UUID, PeerDocument] = {}
        self.rules: tuple[Rules, Rules] | None = None
        self.records: tuple[list[Record], list[Record]] = [], []
        self._group_changes = (
            {f"group:{group_change.group_id}": list(map(str, group_change.members))} if group_change is not None else {}
        )

    def peer(self, pk: UUID, row: Row | None) -> None:
        """Record a peer before it changes; `row` is None for a peer that is being created."""
        self._peers.setdefault(pk, row.document() if row is not None else None)

    def delta(self, instance: Instance) -> Delta:
        """Return everything that has changed since recording began."""
        after = _fields_of(instance)
        rows = Peer.objects.filter(pk__in=list(self._peers)).select_related("member__user", "site")
        peers = {peer.pk: Row.of(peer).document() for peer in rows} if self._peers else {}
        return Delta(
            columns={name: (value, after[name]) for name, value in self._fields.items() if value != after[name]},
            rules=self.rules,
            peers={str(pk): (row, peers.get(pk)) for pk, row in self._peers.items()},
            group_changes=self._group_changes,
            records=self.records,
        )


_recorders: ContextVar[dict[UUID, Recorder] | None] = ContextVar("recorders", default=None)


def preview(change: Callable[[], object]) -> list[ChangePreview]:
    """Return what the action `change` would do, and roll it back. Raises what the action raises."""
    found: list[ChangePreview] = []
    token = asked.set(found)
    try:
        with transaction.atomic():
            change()
            transaction.set_rollback(True)
    finally:
        asked.reset(token)
    return found


def compute_plan(found: Iterable[ChangePreview], most_steps: int = MOST_STEPS) -> Plan:
    """Compute the plan of a previewed change from the current rows, without any lock.

    A change of several instances, such as one of a site, gets one plan. `most_steps` limits the work. Raises
    ConcurrentChange, or Instance.DoesNotExist.
    """
    by_instance: dict[UUID, list[Delta]] = {}
    for one in found:
        by_instance.setdefault(one.instance_id, []).append(one.delta)
    plans = []
    for instance_id, deltas in by_instance.items():
        rows = read_rows(instance_id, deltas)
        for delta in deltas:
            after = rows.changed(delta)
            plans.append(explain(snapshot(rows), snapshot(after), most_steps // len(by_instance)))
            rows = after
    plan = together(plans)
    plan.reconnecting = sum(some.count() for some in connected(plan.pushed))
    return plan


def compute_small_plan(found: Sequence[ChangePreview]) -> Plan | None:
    """Compute a small plan as `answer` does; None where a worker should compute it."""
    if any(is_large(one) for one in found):
        return None
    try:
        plan = compute_plan(found, FEW_STEPS)
    except ConcurrentChange:
        return None
    return None if plan.cut - {"lines"} else plan


def is_large(one: ChangePreview) -> bool:
    """Is this change too large for a page to wait for its plan?"""
    rules = max(map(len, one.delta.rules)) if one.delta.rules is not None else 0
    peers = Peer.objects.filter(instance=one.instance_id)
    return (
        rules > FEW_RULES
        or peers.count() > _FEW_PEERS
        or peers.filter(type=PeerType.SITE).count() > _FEW_SITES
        or FirewallRule.objects.filter(instance=one.instance_id).count() > FEW_RULES
    )


@contextmanager
def planned_change(
    pk: UUID,
    *,
    by: Principal,
    scope: Scope,
    urgent: bool = False,
    is_noted: bool = True,
    group_change: GroupChange | None = None,
    even_lost: bool = False,
) -> Iterator[Instance]:
    """As `changing`, for a change that may affect other users: it also gets a plan.

    The caller records with the functions below which peers, rules and records it touches. Without `is_noted` the change
    is recorded in previews only. `group_change` is the part of the change that is in the database already.
    """
    with transaction.atomic():
        with changing(pk, by=by, scope=scope, urgent=urgent, even_lost=even_lost) as instance:
            is_recorded = is_noted or is_preview()
            with _recording(instance, group_change, by=by) if is_recorded else nullcontext():
                yield instance
        if is_noted and instance.configured:
            transaction.on_commit(partial(doorbell.enqueue_plans, instance.pk, instance.organization_id))


@contextmanager
def _recording(instance: Instance, group_change: GroupChange | None, *, by: Principal) -> Iterator[None]:
    """Record what happens to a locked instance; at the end store it, or return it to the preview."""
    present = _recorders.get() or {}
    recorder = Recorder(instance, group_change)
    token = _recorders.set({**present, instance.pk: recorder})
    try:
        yield
    finally:
        _recorders.reset(token)
    found = asked.get()
    if found is not None:
        found.append(ChangePreview(instance.pk, recorder.delta(instance)))
    elif instance.configured:
        noted = ChangePlan.objects.create(
            instance=instance,
            generation=instance.desired_generation,
            state=PlanState.WAITING,
            delta=recorder.delta(instance).document(),
        )
        acted(by, "noted", noted)


def touch_peer(peer: Peer) -> None:
    """Record a peer, as it is in memory, before it is changed or deleted."""
    if recorder := _recorder(peer.instance_id):
        recorder.peer(peer.pk, Row.of(peer))


def touch_new_peer(peer: Peer) -> None:
    """Record a peer that is about to be created."""
    if recorder := _recorder(peer.instance_id):
        recorder.peer(peer.pk, None)


def touch_rules(instance_id: UUID, before: Rules, after: Rules) -> None:
    """Record the rules (vpn.desired.firewall.document_of_rule) before and after."""
    if recorder := _recorder(instance_id):
        recorder.rules = before, after


def touch_records(instance_id: UUID, removed: list[Record], added: list[Record]) -> None:
    """Record which DNS records are removed and added."""
    if recorder := _recorder(instance_id):
        recorder.records = removed, added


def _recorder(instance_id: UUID) -> Recorder | None:
    return (_recorders.get() or {}).get(instance_id)


def _fields_of(instance: Instance) -> dict[str, Any]:
    values = {name: copy.copy(getattr(instance, name)) for name in _FIELDS}
    if instance.server is not None:
        values["server_networks"] = list(instance.server.networks)
    return values


def connected(peers: list[UUID]) -> Iterator[PeerQuerySet]:
    """Yield those of these peers that are connected over OpenVPN, in chunks."""
    for start in range(0, len(peers), _CHUNK):
        some = Peer.objects.order_by().filter(pk__in=peers[start : start + _CHUNK])
        yield some.filter(seen_filter(connected_from__isnull=False))
