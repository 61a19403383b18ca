"""The last report of a hub about a peer."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db import models
from django.utils import timezone

# If a profile was not used on two devices for so long, it is not said any more.
TWOFOLD_KEPT: Final = timedelta(days=1)


class PeerObservation(models.Model):
    """What a peer's hub last reported about it. Without a row the peer was never seen.

    It belongs to a key: if the peer's key was replaced since, only the bytes count, see `Peer.seen`. Only jobs write
    it, without the peer's lock and so without a foreign key in the database; see InstanceObservation.
    """

    peer = models.OneToOneField(
        "vpn.Peer", on_delete=models.CASCADE, primary_key=True, related_name="observation", db_constraint=False
    )
    # The peer's public key at that time.
    public_key = models.CharField(max_length=44)
    # OpenVPN: when its session was last reported.
    last_handshake = models.DateTimeField(null=True, blank=True)
    connected_from = models.DateTimeField(null=True, blank=True)
    endpoint = models.CharField(max_length=60, blank=True)
    # The first generation whose routes or DNS were not pushed to the present OpenVPN session; None if it has them all.
    push_generation = models.PositiveBigIntegerField(null=True, blank=True)
    # The last addresses that it came from (vpn.observed.trail). They go back and forth if two devices use its profile:
    # since when they do, and when they last did.
    trail = models.CharField(max_length=400, blank=True, default="", db_default="")
    twofold_from = models.DateTimeField(null=True, blank=True)
    twofold_at = models.DateTimeField(null=True, blank=True)
    received_bytes = models.PositiveBigIntegerField(default=0)
    sent_bytes = models.PositiveBigIntegerField(default=0)
    # The hub's own counters at the last observation; they restart from 0 with the hub.
    counter_received = models.PositiveBigIntegerField(default=0)
    counter_sent = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"observation of {self.peer_id}"

    @property
    def is_twofold(self) -> bool:
        """Was the profile used on two devices at once within the last day?"""
        return self.twofold_at is not None and self.twofold_at > timezone.now() - TWOFOLD_KEPT
