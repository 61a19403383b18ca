"""Give the hubs of a compromised server new keys and another server, in steps that may all be repeated."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.exceptions import Conflict
from portal.models import Principal
from portal.told import told
from vpn import doorbell
from vpn.actions.instances.move import MOVES, rebuild_instance
from vpn.actions.instances.new_keys import replace_hub_keys, replace_peer_keys
from vpn.actions.servers.compromise import note_finished, note_waiting
from vpn.actions.servers.loss import note_no_room
from vpn.actions.servers.node import release_if_empty
from vpn.choices import InstanceState, OperationKind, OperationState, ServerState
from vpn.jobs import lease
from vpn.models import CompromisedHub, Instance

logger = logging.getLogger(__name__)
_BY: Final = Principal.portal(gettext_noop("the hub's server was compromised"))
# After this time, a later job goes on.
_SLICE_SECONDS: Final = 8.0
_LOOK_EVERY: Final = timedelta(seconds=5)
# After a rebuild that could not begin, or failed.
_AGAIN: Final = timedelta(seconds=60)


def ring_for_compromised() -> None:
    """Ring for every hub of a compromised server that is not done."""
    due = CompromisedHub.objects.filter(finished_at=None, due_at__lte=timezone.now()).order_by("due_at")
    for ids in due.values_list("pk", "instance__organization", "instance__region")[:200]:
        doorbell.enqueue_compromised(*ids)


def go_on_renewing(row_id: str) -> None:
    """Take the next steps for one hub; what is left is done by a later job, for which the schedule rings."""
    rows = CompromisedHub.objects.select_related("server__region").filter(pk=UUID(row_id), finished_at=None)
    row = rows.first()
    if row is None:
        return
    rows.update(due_at=timezone.now() + _LOOK_EVERY)
    try:
        if row.peers_at is None and not _renew(row):
            return
        _place(row)
    except (Instance.DoesNotExist, CompromisedHub.DoesNotExist):
        logger.info("An instance of %s was deleted meanwhile", row.server)


def _renew(row: CompromisedHub) -> bool:
    """Give the hub and its peers new keys; False if some are left for another job."""
    # No other job works on the hub meanwhile. One that began before could send the new keys to the former server.
    token = lease.claim(row.instance_id)
    if token is None:
        return False
    ends = time.monotonic() + _SLICE_SECONDS
    try:
        replace_hub_keys(row, by=_BY)
        while replace_peer_keys(row, by=_BY):
            if time.monotonic() > ends or not lease.renew(row.instance_id, token):
                CompromisedHub.objects.filter(pk=row.pk).update(due_at=timezone.now())
                return False
    finally:
        lease.release(row.instance_id, token)
    return True


def _place(row: CompromisedHub) -> None:
    """Begin to build the hub on another server, or note that it is there, or what it waits for."""
    instance = Instance.objects.select_related("region", "server").get(pk=row.instance_id)
    if instance.server_id != row.server_id:
        if instance.state == InstanceState.READY and instance.is_up_to_date:
            note_finished(row, by=_BY)
            release_if_empty(row.server_id, by=_BY)
        return
    if instance.state == InstanceState.DELETING:
        note_waiting(row, told("instance-deleting"), by=_BY)
    elif instance.state == InstanceState.FAILED:
        note_waiting(row, told("instance-never-created"), by=_BY)
    elif instance.configured and not instance.operations.filter(kind__in=MOVES, state=OperationState.RUNNING).exists():
        _rebuild(row, instance)


def _rebuild(row: CompromisedHub, instance: Instance) -> None:
    # A server that forwarded until now ends that first: the hub may come back to it.
    if instance.retired_hubs.filter(server__state=ServerState.READY, failures=0).exists():
        return
    last = instance.operations.filter(kind=OperationKind.REBUILD).first()
    if last is not None and last.started_at > max(row.noted_at, timezone.now() - _AGAIN):
        note_waiting(row, told("attempt-failed"), by=_BY)
        return
    CompromisedHub.objects.filter(pk=row.pk).update(due_at=timezone.now() + _AGAIN)
    try:
        rebuild_instance(instance, by=_BY, in_place=False)
    except Conflict as refusal:
        logger.warning("The hub of instance %s waits for a server: %s", instance.pk, refusal)
        note_waiting(row, refusal.told or refusal.message, by=_BY)
        note_no_room(instance, refusal, _AGAIN, by=_BY)
        return
    CompromisedHub.objects.filter(pk=row.pk).update(due_at=timezone.now() + _LOOK_EVERY)
    note_waiting(row, "", by=_BY)
