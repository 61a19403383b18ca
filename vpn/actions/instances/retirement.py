"""Hubs that instances left on servers: forwarded or removed, and what was found of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn.actions.change import lock_instance
from vpn.models import FormerHub, Instance, Move, RetiredHub, Server
from vpn.wire.finding import Finding

# The job that switched the instance hands over itself. If it is killed, another one does after this time.
_HANDED_OVER_WITHIN: Final = timedelta(seconds=20)
_WATCHED_EVERY: Final = timedelta(seconds=60)
_AGAIN: Final = timedelta(seconds=5)
_MOST_DOUBLINGS: Final = 4


def forward_from(server: Server, instance: Instance, port_base: int, *, epoch: int, by: Principal) -> None:
    """Let a former server of a locked instance forward the hub's ports to where it runs now.

    Servers that the instance left before forward there, too.
    """
    now, forwards = timezone.now(), redirect_forwarding(instance, by=by)
    values = {"instance": instance, "port_base": port_base, "epoch": epoch, "retired_at": now, "forwarding_since": None}
    values |= {**forwards, "packets": 0, "used_at": None, "due_at": now + _HANDED_OVER_WITHIN}
    RetiredHub.objects.update_or_create(hub=instance.hub, server=server, defaults=values)
    acted(by, "retired", instance)


def redirect_forwarding(instance: Instance, *, by: Principal) -> dict[str, object]:
    """Let all servers that forward for a locked instance forward to where it runs now; returns these columns."""
    addresses = instance.server.addresses if instance.server is not None else ()
    forwards: dict[str, object] = {"forwards_to": list(addresses), "forwards_to_port": instance.port_base}
    forwarding = instance.retired_hubs.exclude(forwards_to=[])
    if forwarding.update(**forwards, forwarding_since=None, due_at=timezone.now()):
        acted(by, "retired", instance)
    return forwards


def leave_compromised(server: Server, instance: Instance, *, by: Principal) -> None:
    """Expect nothing more of a compromised server that a locked instance has left: neither forwarding nor removal.

    The caller saves the instance.
    """
    if instance.retired_hubs.filter(server=server).delete()[0]:
        acted(by, "forwarding ended", instance)
    instance.earlier_addresses = _still_forwarding(instance)


def remove_from(server: Server, instance: Instance, port_base: int, *, epoch: int, by: Principal) -> None:
    """Let a locked instance's hub be removed from a server that is not its own."""
    values = {"instance": instance, "port_base": port_base, "epoch": epoch, "retired_at": timezone.now()}
    values |= {"forwards_to": [], "forwards_to_port": None, "due_at": timezone.now()}
    RetiredHub.objects.update_or_create(hub=instance.hub, server=server, defaults=values)
    acted(by, "retired", instance)


def leave_on_lost(pk: UUID, *, by: Principal) -> None:
    """Let the hub of an instance that is being deleted be removed from its lost server once that answers."""
    with transaction.atomic():
        locked = lock_instance(pk)
        if locked.server is not None:
            remove_from(locked.server, locked, locked.port_base, epoch=locked.epoch, by=by)


def give_up_move(instance: Instance, *, by: Principal) -> bool:
    """Leave a locked instance where it is, and let the hub on the other server be removed; False without a move."""
    move = Move.objects.filter(instance=instance).first()
    if move is None:
        return False
    if move.target_id != instance.server_id:
        remove_from(move.target, instance, move.port_base, epoch=move.epoch, by=by)
    move.delete()
    acted(by, "stays", instance)
    return True


def end_forwarding(instance: Instance, *, by: Principal) -> None:
    """End all forwarding to an instance's hub from former servers. Raises NotPossible if there is none."""
    with transaction.atomic():
        locked = lock_instance(instance.pk)
        if not _end(locked):
            raise NotPossible(_("No former server forwards to this hub."))
        acted(by, "forwarding ended", locked)


def leave_servers(instance: Instance, *, by: Principal) -> None:
    """Let everything of a locked instance that is being deleted be removed from its former servers."""
    if _end(instance):
        acted(by, "forwarding ended", instance)


def _end(instance: Instance) -> bool:
    ended = instance.retired_hubs.exclude(forwards_to=[]).update(
        forwards_to=[], forwards_to_port=None, due_at=timezone.now()
    )
    if instance.earlier_addresses:
        instance.earlier_addresses = []
        instance.save(update_fields=["earlier_addresses"])
    return bool(ended)


def begin_look(retired: RetiredHub, *, by: Principal) -> bool:
    """Claim a look at a retired hub; False if another worker has done so."""
    later = timezone.now() + _HANDED_OVER_WITHIN
    began = RetiredHub.objects.filter(pk=retired.pk, due_at=retired.due_at).update(due_at=later)
    if began:
        acted(by, "looked at", retired)
    return bool(began)


def note_forwarding(retired: RetiredHub, packets: int | None = None, *, by: Principal) -> bool:
    """Record that a server forwards as `retired` says, and how many packets passed.

    False if the forwarding was ended or changed meanwhile.
    """
    now = timezone.now()
    values: dict[str, object] = {"due_at": now + _WATCHED_EVERY, "finding": None, "failures": 0}
    if packets is None:
        values |= {"forwarding_since": now, "used_at": now}
    elif packets != retired.packets:
        values |= {"packets": packets, "used_at": now}
    same = RetiredHub.objects.filter(
        pk=retired.pk, forwards_to=retired.forwards_to, forwards_to_port=retired.forwards_to_port
    )
    noted = bool(same.update(**values))
    if noted:
        acted(by, "forwards", retired)
    return noted


def note_trouble(retired: RetiredHub, why: Finding, *, by: Principal) -> None:
    """Record why a server could not be asked, and ask again later and later."""
    failures = min(retired.failures + 1, 1000)
    wait = _AGAIN * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    values = {"finding": why.document(), "failures": failures, "due_at": timezone.now() + wait}
    RetiredHub.objects.filter(pk=retired.pk).update(**values)
    acted(by, "not reached", retired)


def forget_retired(retired: RetiredHub, *, by: Principal) -> None:
    """Delete the row of a hub of which nothing is left on its server, but note that its keys were there."""
    with transaction.atomic():
        # Instances are locked before what belongs to them.
        rows = Instance.objects.select_for_update().without_keys()
        instance = rows.filter(pk=retired.instance_id).first() if retired.instance_id is not None else None
        is_gone = RetiredHub.objects.filter(pk=retired.pk, forwards_to=[]).delete()[0]
        if is_gone and instance is not None and _had_present_keys(retired, instance):
            FormerHub.objects.update_or_create(
                instance=instance, server=retired.server, defaults={"left_at": retired.retired_at}
            )
        acted(by, "removed", retired)


def _had_present_keys(retired: RetiredHub, instance: Instance) -> bool:
    return instance.keys_replaced_at is None or instance.keys_replaced_at < retired.retired_at


def end_unused(retired: RetiredHub, *, by: Principal) -> None:
    """End the forwarding of one former server, which is not used any more."""
    if retired.instance_id is None:
        return
    with transaction.atomic():
        instance = Instance.objects.select_for_update().filter(pk=retired.instance_id).first()
        if instance is None:
            return
        RetiredHub.objects.filter(pk=retired.pk).update(forwards_to=[], forwards_to_port=None, due_at=timezone.now())
        instance.earlier_addresses = _still_forwarding(instance)
        instance.save(update_fields=["earlier_addresses"])
        acted(by, "forwarding ended", instance)


def _still_forwarding(instance: Instance) -> list[str]:
    """Those of the earlier addresses whose servers still forward."""
    left = instance.retired_hubs.exclude(forwards_to=[]).select_related("server")
    still = {address for one in left for address in one.server.addresses}
    return [address for address in instance.earlier_addresses if address in still]
