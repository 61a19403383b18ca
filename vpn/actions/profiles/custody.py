"""Private keys that the portal made: shown for a while after the first reveal, then destroyed for good."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
from vpn.actions.change import hold_instance
from vpn.choices import KeyCustody
from vpn.models import Instance, Peer, ProfileLink

_BATCH: Final = 200


def window_end(peer: Peer, now: datetime) -> datetime | None:
    """When the private key of a peer that is delivered now is due to be destroyed; None if the portal has none.

    The first delivery sets it, the later ones keep it. The caller holds the lock on the instance and saves it.
    """
    if peer.key_custody != KeyCustody.PORTAL:
        return None
    return peer.key_due_at or now + peer.instance.organization.key_window


def destroy_due_keys(seconds: float, *, by: Principal) -> bool:
    """Destroy the private keys that are due, for at most this long; True if none is left. Harmless when run twice."""
    end = time.monotonic() + seconds
    while (instance_id := _first_due()) is not None:
        if time.monotonic() >= end:
            return False
        _destroy_batch(instance_id, by)
    return True


def _first_due() -> UUID | None:
    due = Peer.objects.filter(key_due_at__lte=timezone.now()).order_by("key_due_at")
    return due.values_list("instance_id", flat=True).first()


def _destroy_batch(instance_id: UUID, by: Principal) -> None:
    """Destroy due keys of one instance. Its lock keeps an action that read a peer before from saving the key again."""
    with transaction.atomic():
        try:
            hold_instance(instance_id)
        except Instance.DoesNotExist:
            return  # its peers are gone, too
        rows = Peer.objects.filter(instance=instance_id, key_due_at__lte=timezone.now())
        due = list(rows.select_related("instance", "member__user", "site").order_by("key_due_at")[:_BATCH])
        ids = [peer.pk for peer in due]
        # What the hub needs stays: the public key, the preshared key and the certificate.
        Peer.objects.filter(pk__in=ids).update(
            private_key_sealed="", tls_crypt_key_sealed="", key_custody=KeyCustody.DESTROYED, key_due_at=None
        )
        ProfileLink.objects.filter(peer__in=ids).delete()
        for peer in due:
            acted(by, "key destroyed", peer)
