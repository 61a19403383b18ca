"""Observe hubs: handshakes, endpoints, bytes, and whether they still run what they confirmed."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from vpn import doorbell
from vpn.actions.instances.drift import undo_drift
from vpn.actions.instances.recovery import apply_again
from vpn.actions.instances.trial import end_untriable, note_trial
from vpn.actions.peers.protocol_change import conclude_changes
from vpn.actions.peers.two_devices import note_two_devices
from vpn.choices import Driver, ServerState
from vpn.drivers.base import AgentError, HubReport, Unreachable, errors
from vpn.jobs.availability import ring_for_servers
from vpn.jobs.clouds import ring_for_clouds
from vpn.jobs.leases import observe_on_leases
from vpn.jobs.nodes import ring_for_nodes
from vpn.jobs.recorded import Recorded
from vpn.jobs.servers import driver_for, note_agent
from vpn.jobs.tick import scheduled
from vpn.models import Instance, InstanceObservation, Region, Server
from vpn.models.row_updates import update_rows
from vpn.observed import note_unchanged, record_observations
from vpn.wire.trial import FEATURE

logger = logging.getLogger(__name__)
OBSERVE_SECONDS: Final = 4
# A hub is due slightly before its interval is over, because the schedule is not exact.
_DUE: Final = timedelta(seconds=OBSERVE_SECONDS * 0.6)
# After this time a job sends no further request. Another job does, so that other servers get their turn.
_SLICE_SECONDS: Final = 3.0
# After this time the agent begins no further report, so that what it has is recorded.
_ANSWER_SECONDS: Final = 1.5
# The number of hubs in one request.
_AT_ONCE: Final = 200
# The number of peers whose reports are written together: SQLite has one write lock for the whole portal.
_PEERS_AT_ONCE: Final = 5000
# After this many failures in a row, the job skips the server until the next tick.
_MOST_FAILURES: Final = 3

_recorded: Final = Recorded()

_GONE = Principal.portal(gettext_noop("the hub was gone from its server"))
_DIFFERS = Principal.portal(gettext_noop("the hub runs something else than it confirmed"))
_DRIFT = Principal.portal(gettext_noop("undoing what was changed on the server"))
_UNCONFIRMED = Principal.portal(gettext_noop("the change was not confirmed in time"))
_DOWNGRADED = Principal.portal(gettext_noop("the server's agent can no longer return by itself"))
_TWOFOLD = Principal.portal(gettext_noop("its address goes back and forth"))
_SWITCHED = Principal.portal(gettext_noop("the peer uses its new protocol"))


@dataclass
class Turns:
    """The hubs that a job has claimed, in order. The former times of their last queries are kept."""

    claimed_at: datetime
    former: dict[UUID, datetime | None] = field(default_factory=dict)
    # Hubs that did not answer last time are in groups of their own, at the end.
    groups: list[list[Instance]] = field(default_factory=list)
    # True if no other hub was due.
    are_all: bool = False

    def give_back(self) -> None:
        """Let hubs that were not queried keep their place: they come first next time."""
        if not self.former:
            return
        rows: list[tuple[object, ...]] = [(before, pk, self.claimed_at) for pk, before in self.former.items()]
        with transaction.atomic():
            # In the locking order of the other jobs, so that no two deadlock.
            list(InstanceObservation.objects.select_for_update().filter(pk__in=self.former).order_by("pk"))
            update_rows(InstanceObservation, ["looked_at"], ["instance", "looked_at"], rows)
        self.former.clear()


@scheduled("observe", OBSERVE_SECONDS)
def observe_all() -> None:
    """Ring for every server that has hubs."""
    hubs = Instance.objects.with_hub()
    ready = Server.objects.filter(state=ServerState.READY)
    for ids in ready.filter(instances__in=hubs).values_list("pk", "region").distinct():
        doorbell.enqueue_observe(*ids)
    # A portal with this machine alone has no such servers, nodes or accounts.
    if Region.objects.exclude(driver=Driver.LOCAL).exists():
        ring_for_servers()
        ring_for_nodes()
        ring_for_clouds()


def observe_server(server_id: str) -> None:
    """Observe the due hubs of a server, those first that have waited longest; ring again for the rest."""
    server = UUID(server_id)
    _ensure_rows(server)
    end = time.monotonic() + _SLICE_SECONDS
    while (turns := _claim(server)).groups:
        try:
            answers = _observe_in_turn(turns, end)
        finally:
            is_done = turns.are_all and not turns.former
            # Even if a hanging hub used up the job's time.
            turns.give_back()
        if is_done or not answers:
            return
        if time.monotonic() > end:
            doorbell.enqueue_observe(server)
            return


def _observe_in_turn(turns: Turns, end: float) -> bool:
    """Observe the claimed hubs until `end` (monotonic clock); return False if the server does not answer."""
    failures = 0
    for hubs in turns.groups:
        left = end - time.monotonic()
        if left < 0:
            break
        asked = {instance.pk: turns.former.pop(instance.pk) for instance in hubs}
        try:
            reached = observe_hubs(hubs, min(left, _ANSWER_SECONDS))
        except Unreachable as error:
            logger.warning("Observing %d hubs of %s failed: %s", len(hubs), hubs[0].server, error)
            failures += 1
            # One of several hubs may hang. Next time, each of them is asked for alone.
            if len(hubs) > 1 or failures == _MOST_FAILURES:
                return False
        else:
            failures = 0
            turns.former |= {pk: before for pk, before in asked.items() if pk not in reached}
    return not failures


def _ensure_rows(server_id: UUID) -> None:
    missing = Instance.objects.with_hub().filter(server=server_id, observation=None).values_list("pk", flat=True)
    rows = [InstanceObservation(instance_id=pk) for pk in missing]
    InstanceObservation.objects.bulk_create(rows, ignore_conflicts=True)


def _claim(server_id: UUID) -> Turns:
    """Take the next due hubs, so that another job of the same server takes others.

    A hub that did not answer last time is queried alone, after the others: it may delay the job.
    """
    now = timezone.now()
    # A clock that was set back must not delay an observation.
    due = Q(looked_at=None) | Q(looked_at__lt=now - _DUE) | Q(looked_at__gt=now + _DUE)
    hubs = Instance.objects.with_hub().filter(server=server_id)
    with transaction.atomic():
        free = InstanceObservation.objects.select_for_update(skip_locked=True, of=("self",)).filter(due)
        turns = free.filter(instance__in=hubs).order_by(F("looked_at").asc(nulls_first=True))
        rows = list(turns[:_AT_ONCE])
        InstanceObservation.objects.filter(pk__in=[row.pk for row in rows]).update(looked_at=now)
    found = hubs.select_related("server__region").in_bulk([row.pk for row in rows])
    together: list[Instance] = []
    alone: list[Instance] = []
    for row in rows:
        if row.pk in found:
            (together if _has_answered(row) else alone).append(found[row.pk])
    groups = [hubs for hubs in (together, *([hub] for hub in alone)) if hubs]
    former = {row.pk: row.looked_at for row in rows if row.pk in found}
    return Turns(now, former, groups, are_all=len(rows) < _AT_ONCE)


def _has_answered(hub: InstanceObservation) -> bool:
    """Return True if the hub answered the last query, or was never queried."""
    return hub.looked_at is None or (hub.observed_at is not None and hub.observed_at >= hub.looked_at)


def observe_hubs(instances: Sequence[Instance], seconds: float) -> set[UUID]:
    """Query these hubs of one server in one request, and record their reports.

    Hubs that do not run what they confirmed are applied again. Returns the instances whose hubs the server got to in
    `seconds`. Raises Unreachable.
    """
    asked_at = timezone.now()
    by_name = {instance.hub: instance for instance in instances}
    known = {hub: _recorded.stamp(instance.pk) for hub, instance in by_name.items()}
    server = instances[0].server
    driver = driver_for(server)
    answers = observe_on_leases(driver, instances, known, seconds)
    reports = {by_name[hub].pk: one for hub, one in answers.items() if isinstance(one, HubReport)}
    gone = {by_name[hub].pk for hub, one in answers.items() if _is_gone(one)}
    for report in list(reports.values())[:1]:
        note_agent(server, report)
        if server is not None and FEATURE not in report.features and not any(one.trial for one in reports.values()):
            end_untriable(server, by=_DOWNGRADED)
    for pk, report in reports.items():
        note_trial(pk, report.trial, asked_at, by=_UNCONFIRMED)
    # Of a hub that is down, only the peers' state is unknown: none is connected through it.
    alive = {pk: report for pk, report in reports.items() if report.alive}
    unchanged = {pk for pk, report in alive.items() if _recorded.says_nothing_new(pk, report)}
    note_unchanged(unchanged, asked_at)
    for pk in unchanged:
        _recorded.note(pk, alive.pop(pk))
    for some in _batches(alive):
        for pk, arrivals in record_observations(some, asked_at).items():
            conclude_changes(pk, arrivals.switched, by=_SWITCHED)
            note_two_devices(arrivals.twofold, by=_TWOFOLD)
            _recorded.note(pk, some[pk])
    for instance in _at_rest([one for one in instances if one.pk in gone or one.pk in reports]):
        if instance.pk in gone:
            logger.warning("The hub of instance %s is gone from its server; bringing it back", instance.pk)
            apply_again(instance.pk, instance.organization_id, by=_GONE)
        else:
            _repair(instance, reports[instance.pk])
    return {by_name[hub].pk for hub in answers}


def _is_gone(answer: HubReport | AgentError | Unreachable) -> bool:
    if isinstance(answer, Unreachable):
        logger.warning("Observing a hub failed: %s", answer)
    return isinstance(answer, AgentError) and answer.code in {errors.UNKNOWN_HUB, errors.DESTROYED}


def _batches(reports: Mapping[UUID, HubReport]) -> Iterator[dict[UUID, HubReport]]:
    """Yield the reports in batches of limited numbers of peers."""
    batch: dict[UUID, HubReport] = {}
    peers = 0
    for pk, report in reports.items():
        batch[pk] = report
        peers += len(report.peers or {}) + len(report.sessions or {})
        if peers >= _PEERS_AT_ONCE:
            yield batch
            batch, peers = {}, 0
    if batch:
        yield batch


def _at_rest(before: Collection[Instance]) -> list[Instance]:
    """Return the instances without a change during the query: a report from within a change proves nothing."""
    rows = Instance.objects.unclaimed().filter(pk__in=[instance.pk for instance in before])
    columns = ("epoch", "desired_generation", "applied_generation", "applied_digest")
    now = {pk: tuple(values) for pk, *values in rows.values_list("pk", *columns)}
    return [
        instance
        for instance in before
        if instance.is_up_to_date and now.get(instance.pk) == tuple(getattr(instance, name) for name in columns)
    ]


def _repair(instance: Instance, report: HubReport) -> None:
    """Apply again if an unchanged hub differs from what it confirmed, or has drift."""
    if not _matches(instance, report):
        logger.warning("The hub of instance %s runs something else than it confirmed; applying again", instance.pk)
        apply_again(instance.pk, instance.organization_id, by=_DIFFERS)
    elif report.drift:
        with suppress(Instance.DoesNotExist):  # deleted meanwhile
            if undo_drift(instance.pk, report.drift, by=_DRIFT):
                changed = ", ".join(map(str, report.drift))
                logger.warning("The hub of instance %s was changed on its server: %s", instance.pk, changed)


def _matches(instance: Instance, report: HubReport) -> bool:
    if not report.alive:
        return False
    return (report.epoch, report.generation, report.digest) == (
        instance.applied_epoch,
        instance.applied_generation,
        instance.applied_digest,
    )
