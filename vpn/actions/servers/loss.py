"""A server that is lost, and one that comes back: what becomes of its instances."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from portal.actions.acting import acted
from portal.exceptions import Conflict
from portal.models import Principal
from portal.told import as_text
from vpn import doorbell
from vpn.actions.instances.instance import set_state
from vpn.actions.instances.recovery import raise_generation
from vpn.choices import EndReason, InstanceState
from vpn.connections.ending import end_moved
from vpn.models import EndedTunnel, Instance, InstanceObservation, RetiredHub, Server
from vpn.models.instance import LONGEST_FAILURE


def lose(server: Server, *, by: Principal) -> None:
    """Note on the instances of a locked server that it is lost, and mail staff."""
    for instance in _locked(server, InstanceState.READY):
        set_state(instance, InstanceState.LOST, by=by)
        transaction.on_commit(partial(end_moved, instance.pk, EndReason.LOST), robust=True)
    acted(by, "lost", server)
    transaction.on_commit(partial(doorbell.enqueue_loss_mail, server.pk))


def find_again(server: Server, *, by: Principal) -> None:
    """Let the instances that are still on a locked server be ready: their hubs run on, or come back by themselves.

    Hubs that were built on another server meanwhile are removed from this one.
    """
    for instance in _locked(server, InstanceState.LOST):
        set_state(instance, InstanceState.READY, by=by)
        acted(by, "found again", instance)
        Instance.objects.filter(pk=instance.pk).update(failure="", refusal=None, retry_at=None)
        # A person who was deactivated while it was lost raised no generation, and is found by comparing.
        InstanceObservation.objects.note([instance.pk], verify_at=None)
        _ask_for_receipts(instance, by)
        transaction.on_commit(
            partial(doorbell.enqueue_apply, instance.pk, instance.organization_id, instance.region_id)
        )


def _ask_for_receipts(instance: Instance, by: Principal) -> None:
    """Let the hub confirm the receipts that wait for the next generation: comparing may find nothing to apply."""
    waiting = EndedTunnel.objects.filter(instance_id=instance.pk, confirmed_at=None)
    if waiting.filter(generation__gt=instance.desired_generation).exists():
        raise_generation(instance.pk, by=by)


def look_at_retired_hubs(server: Server, *, by: Principal) -> None:
    """Let the hubs that instances have left on a server be removed soon: it answers again."""
    if RetiredHub.objects.filter(server=server).update(due_at=timezone.now(), failures=0):
        acted(by, "retired hubs due", server)


def note_no_room(instance: Instance, refusal: Conflict, again: timedelta, *, by: Principal) -> None:
    """Note why a lost hub is not built anew, for its page, and when that is tried again."""
    lost = Instance.objects.filter(pk=instance.pk, state=InstanceState.LOST)
    why = as_text(refusal.told or refusal.message, LONGEST_FAILURE)
    if lost.update(failure=why, refusal=None, retry_at=timezone.now() + again):
        acted(by, "not rebuilt", instance)


def _locked(server: Server, state: InstanceState) -> list[Instance]:
    """The server's instances of this state, locked after the server, as by every action."""
    rows = Instance.objects.select_for_update(of=("self",)).without_keys()
    # Read before any of them is changed.
    return list(rows.filter(server=server, state=state, configured=True).order_by("pk"))
