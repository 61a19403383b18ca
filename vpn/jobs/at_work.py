"""At most one job at a time creates, moves or removes hubs on a remote server.

A server that stops answering holds a worker until its session breaks. With two hubs on it, both workers that provision
would wait for it, and new hubs elsewhere for both. So a job claims its servers besides its instance. If another job
has one, it gives its worker back; the other rings for it when it ends, and reconcile does every few seconds. This
machine's server has no session that hangs, so its hubs are created side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from vpn import doorbell
from vpn.choices import Driver, InstanceState, ServerState
from vpn.jobs import lease
from vpn.jobs.progress import StepWaits
from vpn.models import Instance, Move, RetiredHub, Server


@contextmanager
def at_work_on(pk: UUID) -> Iterator[UUID | None]:
    """Claim an instance and the remote servers that have its hub or will; None if another worker has one of them."""
    token = lease.claim(pk)
    if token is None:
        yield None
        return
    try:
        yield token if claim_servers(servers_of(pk), token) else None
    finally:
        try:
            release_servers(token)
        finally:
            lease.release(pk, token)


@contextmanager
def at_work_at(server_id: UUID) -> Iterator[bool]:
    """Claim a server; False if it is a remote one that another worker has."""
    token = uuid4()
    is_mine = claim_servers([server_id], token)
    try:
        yield is_mine
    finally:
        release_servers(token)


def require_claim(server: Server, token: UUID) -> None:
    """Raise StepWaits if a server is a remote one that was not claimed: it was chosen or became ready since."""
    if _remote([server.pk]).exclude(work_token=token).exists():
        raise StepWaits


def servers_of(pk: UUID) -> set[UUID]:
    """The servers to which a job for an instance talks: its own, the one it moves to, and those that are to forward."""
    waiting = RetiredHub.objects.filter(instance=pk, forwarding_since=None).exclude(forwards_to=[])
    placed = Instance.objects.filter(pk=pk, server__isnull=False)
    return {
        *placed.values_list("server", flat=True),
        *Move.objects.filter(instance=pk).values_list("target", flat=True),
        *waiting.values_list("server", flat=True),
    }


def claim_servers(server_ids: Collection[UUID], token: UUID) -> bool:
    """Claim the remote ones of these servers, all or none. A claim expires like an instance's.

    One that is not ready is not claimed: no job talks to it (`vpn.jobs.servers.driver_for`).
    """
    ends = Now() + timedelta(seconds=lease.LEASE_SECONDS)
    with transaction.atomic():
        # In the order in which all others lock servers.
        for server in _remote(server_ids).order_by("pk").values_list("pk", flat=True):
            free = Q(work_token=None) | Q(work_expires_at__lt=Now())
            if not Server.objects.filter(free, pk=server).update(work_token=token, work_expires_at=ends):
                transaction.set_rollback(True)
                return False
    return True


def release_servers(token: UUID) -> None:
    """Release what was claimed with a token. Each alone, so that nothing is locked in another order than others do."""
    for pk in Server.objects.filter(work_token=token).values_list("pk", flat=True):
        Server.objects.filter(pk=pk, work_token=token).update(work_token=None, work_expires_at=None)


def ring_for_next(server_ids: Collection[UUID]) -> None:
    """Ring for the hub that has waited longest for one of these servers; for the others, reconcile rings.

    Only a job that has ended its operation may ring: those that wait for something would ring for each other.
    """
    remote = _remote(server_ids).values_list("pk", flat=True)
    waiting = Instance.objects.unclaimed().filter(server__in=list(remote)).order_by("created_at")
    ids = ("pk", "organization", "region")
    coming = waiting.filter(state__in=[InstanceState.PENDING, InstanceState.PROVISIONING])
    if (found := coming.values_list(*ids).first()) is not None:
        doorbell.enqueue_provision(*found)
        return
    # One whose end was tried is tried again after a pause.
    if (found := waiting.filter(state=InstanceState.DELETING, retry_at=None).values_list(*ids).first()) is not None:
        doorbell.enqueue_destroy(*found)


def _remote(server_ids: Collection[UUID]) -> QuerySet[Server]:
    """Those of these servers that jobs talk to over SSH."""
    return Server.objects.filter(pk__in=server_ids, state=ServerState.READY).exclude(region__driver=Driver.LOCAL)
