"""New keys for a hub and all its peers, because its server was compromised.

A server has of each hub the WireGuard key, the certificate with its key, the tls-crypt-v2 key, and all preshared keys.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from django.db import transaction
from django.utils import timezone

from portal.actions.acting import one_act
from portal.models import Principal
from vpn import doorbell, failures, keys
from vpn.actions.activity.asking import note_asker
from vpn.actions.activity.operation import cancel_operations
from vpn.actions.change import lock_instance
from vpn.actions.instances.move import MOVES
from vpn.actions.instances.retirement import give_up_move, leave_compromised, leave_servers
from vpn.actions.peers.certificates import ensure_certificates
from vpn.actions.peers.keys import give_keys
from vpn.choices import EndReason, InstanceState, KeyCustody
from vpn.connections.ending import end_moved
from vpn.models import CompromisedHub, EarlierCertificate, FormerHub, Instance, Peer

# About two milliseconds each, with a lock on the instance.
_BATCH: Final = 200


def replace_hub_keys(row: CompromisedHub, *, by: Principal) -> None:
    """Give a hub new keys of its own, once; a move that is under way ends. Raises Instance.DoesNotExist.

    The caller has claimed the instance, so no job sends the new keys to the former server.
    """
    with transaction.atomic():
        locked = lock_instance(row.instance_id)
        if not CompromisedHub.objects.filter(pk=row.pk, keys_at=None).exists():
            return
        with one_act(by, "keys replaced", locked) as act:
            act.details["peers"] = locked.peers.count()
            give_up_move(locked, by=by)
            cancel_operations(locked.operations.filter(kind__in=MOVES), failures.MOVE_CANCELLED.of(), by=by)
            leave_compromised(row.server, locked, by=by)
            if locked.server_id == row.server_id:
                # Former servers must not forward devices to it.
                leave_servers(locked, by=by)
            now = locked.keys_replaced_at = timezone.now()
            _give_hub_keys(locked)
            # What these servers had opens nothing any more.
            FormerHub.objects.filter(instance=locked).delete()
            _raise_generation(locked, by)
            locked.whole_generation = locked.settings_generation = locked.desired_generation
            locked.save()
            CompromisedHub.objects.filter(pk=row.pk).update(keys_at=now)
        transaction.on_commit(partial(end_moved, locked.pk, EndReason.RENEWED), robust=True)


def _give_hub_keys(instance: Instance) -> None:
    private_key = keys.generate_private_key()
    instance.private_key, instance.public_key = private_key, keys.public_key(private_key)
    if instance.probe_private_key_sealed:
        instance.probe_private_key = keys.generate_private_key()
        instance.probe_preshared_key = keys.generate_preshared_key()
    if not instance.has_certificates:
        return
    # A new authority: clients ask no revocation list, so they would trust the former certificate until its end.
    instance.server_certificate = ""
    instance.revoked_certificates.all().delete()
    EarlierCertificate.objects.filter(peer__instance=instance).delete()
    ensure_certificates(instance)


def replace_peer_keys(row: CompromisedHub, *, by: Principal) -> bool:
    """Give the next peers of a hub new keys; True if there may be more. Raises Instance.DoesNotExist.

    Peers that were added since the hub's keys were replaced have new ones already.
    """
    with transaction.atomic():
        locked = lock_instance(row.instance_id)
        now = CompromisedHub.objects.get(pk=row.pk)
        if now.peers_at is not None or now.keys_at is None:
            return False
        left = locked.peers.filter(created_at__lt=now.keys_at).select_related("site").order_by("pk")
        batch = list(left.filter(pk__gt=now.last_peer)[:_BATCH] if now.last_peer is not None else left[:_BATCH])
        _raise_generation(locked, by)
        for peer in batch:
            peer.instance = locked
            _give_peer_keys(peer, locked)
            peer.changed_generation = locked.desired_generation
            peer.save()
        locked.save()
        if batch:
            now.last_peer = batch[-1].pk
        if len(batch) < _BATCH:
            now.peers_at = timezone.now()
        now.save(update_fields=["last_peer", "peers_at"])
    return now.peers_at is None


def _give_peer_keys(peer: Peer, instance: Instance) -> None:
    """New keys as far as the portal makes them. A key that the device made stays: no server had it."""
    peer.former_protocol = peer.former_public_key = peer.former_preshared_key = ""
    if peer.key_custody == KeyCustody.DEVICE and not peer.is_openvpn:
        peer.preshared_key = keys.generate_preshared_key()
        return
    # `delivered_digest` stays, so that the delivered profile counts as outdated.
    give_keys(peer, instance)


def _raise_generation(instance: Instance, by: Principal) -> None:
    """A newer generation of a locked instance, whatever its state; the caller saves it."""
    instance.desired_generation += 1
    note_asker(instance, by=by)
    if instance.state == InstanceState.READY and instance.configured:
        ids = instance.pk, instance.organization_id, instance.region_id
        transaction.on_commit(partial(doorbell.enqueue_apply, *ids))
