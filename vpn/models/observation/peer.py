"""What a hub reports of a peer."""

from __future__ import annotations

from django.db import models


class PeerObservation(models.Model):
    """What a peer's hub last said of it. No row: the peer was never seen.

    It belongs to a key: of a peer that has got another one meanwhile only the bytes count, see `Peer.seen`. Jobs alone
    write it, without the peer's lock and so without a foreign key in the database; see InstanceObservation.
    """

    peer = models.OneToOneField(
        "vpn.Peer", on_delete=models.CASCADE, primary_key=True, related_name="observation", db_constraint=False
    )
    # The peer's public key when it was seen.
    public_key = models.CharField(max_length=44)
    # OpenVPN: when its session was last reported.
    last_handshake = models.DateTimeField(null=True, blank=True)
    connected_from = models.DateTimeField(null=True, blank=True)
    endpoint = models.CharField(max_length=60, blank=True)
    # The first generation whose routes or DNS the present OpenVPN session was not pushed; None where it has all.
    push_generation = models.PositiveBigIntegerField(null=True, blank=True)
    received_bytes = models.PositiveBigIntegerField(default=0)
    sent_bytes = models.PositiveBigIntegerField(default=0)
    # The hub's own counters at the last observation; they begin anew when the hub does.
    counter_received = models.PositiveBigIntegerField(default=0)
    counter_sent = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"observation of {self.peer_id}"
