"""Observe hubs: handshakes, endpoints, bytes, and whether they still run what they confirmed."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from portal.models import Principal
from vpn import doorbell
from vpn.actions.instances.drift import undo_drift
from vpn.actions.instances.recovery import apply_again
from vpn.actions.peers.protocol_change import conclude_changes
from vpn.drivers.base import AgentError, HubReport, Unreachable, errors
from vpn.jobs.servers import driver_for, note_agent
from vpn.jobs.tick import begin_tick
from vpn.models import Instance, InstanceObservation, Server
from vpn.observed import record_observations

logger = logging.getLogger(__name__)
OBSERVE_SECONDS: Final = 4
# A hub is due slightly before its interval is over, because the schedule is not exact.
_DUE: Final = timedelta(seconds=OBSERVE_SECONDS * 0.6)
# After this time a job queries no further hub. Another job queries the rest, so that other servers get their turn.
_SLICE_SECONDS: Final = 3.0
# The number of hubs whose reports are written together.
_AT_ONCE: Final = 20
# After this many failures in a row, the job skips the server until the next tick.
_MOST_FAILURES: Final = 3

_GONE = Principal.portal("the hub was gone from its server")
_DIFFERS = Principal.portal("the hub runs something else than it confirmed")
_DRIFT = Principal.portal("undoing what was changed on the server")
_SWITCHED = Principal.portal("the peer uses its new protocol")


@dataclass
class Answers:
    """The answers of a server's hubs."""

    reports: dict[UUID, HubReport] = field(default_factory=dict)
    # Hubs that the server does not know.
    gone: set[UUID] = field(default_factory=set)
    asked: set[UUID] = field(default_factory=set)
    # The number of failures in a row.
    failures: int = 0


def observe_all() -> None:
    """Ring for every server that has hubs."""
    if begin_tick("observe", OBSERVE_SECONDS):
        hubs = Instance.objects.with_hub()
        for pk in Server.objects.filter(instances__in=hubs).values_list("pk", flat=True).distinct():
            doorbell.enqueue_observe(pk)


def observe_server(server_id: str) -> None:
    """Observe the due hubs of a server, those first that have waited longest; ring again for the rest."""
    server = UUID(server_id)
    _ensure_rows(server)
    end = time.monotonic() + _SLICE_SECONDS
    while turns := _claim(server):
        answers, left = Answers(), {instance.pk for hubs in turns for instance in hubs}
        try:
            for hubs in turns:
                observe_hubs(hubs, end, answers)
        finally:
            # The rest comes first next time, even if a hanging hub used up the job's time.
            if left := left - answers.asked:
                InstanceObservation.objects.filter(pk__in=left).update(looked_at=None)
        is_over = time.monotonic() > end
        if is_over and not answers.failures:
            doorbell.enqueue_observe(server)
        if is_over or left:
            return


def _ensure_rows(server_id: UUID) -> None:
    missing = Instance.objects.with_hub().filter(server=server_id, observation=None).values_list("pk", flat=True)
    rows = [InstanceObservation(instance_id=pk) for pk in missing]
    InstanceObservation.objects.bulk_create(rows, ignore_conflicts=True)


def _claim(server_id: UUID) -> list[list[Instance]]:
    """Take the next due hubs, so that another job of the same server takes others.

    Returns groups of hubs in order. A hub that did not answer last time comes last, in a group of its own: other
    reports are written before it may delay the job.
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
    return [hubs for hubs in (together, *([hub] for hub in alone)) if hubs]


def _has_answered(hub: InstanceObservation) -> bool:
    """Return True if the hub answered the last query. One that was only postponed was not queried."""
    return hub.looked_at is None or (hub.observed_at is not None and hub.observed_at >= hub.looked_at)


def observe_hubs(instances: Sequence[Instance], end: float, answers: Answers | None = None) -> Answers:
    """Query these hubs, record their reports, and ring for those that do not run what they confirmed.

    No hub is queried after `end` (monotonic clock). `answers` contains earlier answers and is extended.
    """
    asked_at = timezone.now()
    answers = answers or Answers()
    _ask(instances, end, answers)
    # Of a hub that is down, only the peers' state is unknown: none is connected through it.
    answered = {one.pk: answers.reports[one.pk] for one in instances if one.pk in answers.reports}
    alive = {pk: report for pk, report in answered.items() if report.alive}
    for pk, switched in record_observations(alive, asked_at).items():
        conclude_changes(pk, switched, by=_SWITCHED)
    for instance in _at_rest([one for one in instances if one.pk in answers.gone or one.pk in answers.reports]):
        if instance.pk in answers.gone:
            logger.warning("The hub of instance %s is gone from its server; bringing it back", instance.pk)
            apply_again(instance.pk, instance.organization_id, by=_GONE)
        else:
            _repair(instance, answers.reports[instance.pk])
    return answers


def _ask(instances: Sequence[Instance], end: float, answers: Answers) -> None:
    for instance in instances:
        if answers.failures == _MOST_FAILURES or time.monotonic() > end:
            return
        answers.asked.add(instance.pk)
        try:
            report = driver_for(instance.server).status(instance.hub, peers=True)
            note_agent(instance.server, report)
            answers.reports[instance.pk], answers.failures = report, 0
        except AgentError as error:
            if error.code in {errors.UNKNOWN_HUB, errors.DESTROYED}:
                answers.gone.add(instance.pk)
        except Unreachable as error:
            logger.warning("Observing instance %s failed: %s", instance.pk, error)
            answers.failures += 1


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
