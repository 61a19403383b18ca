"""What is known of each listener of a hub: can devices reach it from outside of its server?"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.choices import Listener, ProofCause, Reachability
from vpn.models.instance import Instance


class ListenerProof(models.Model):
    """One listener of one hub at one of its addresses, as the last knock or the last device that came found it."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="proofs")
    listener = models.CharField(max_length=15, choices=Listener.choices)
    # Where it was knocked on, and whether that is the address that most devices take.
    address = models.CharField(max_length=45, blank=True)
    is_first = models.BooleanField(default=True)
    state = models.CharField(max_length=12, choices=Reachability.choices)
    # Why it is not proven; empty where it is.
    cause = models.CharField(max_length=10, choices=ProofCause.choices, blank=True)
    # Since when knocks fail; null while the last one succeeded.
    failing_since = models.DateTimeField(null=True, blank=True)
    # When a device last began a connection here. One that came after `failing_since` is believed more than the knock.
    arrived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["listener", "address"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "listener", "address"], name="listener_proof_unique")
        ]

    def __str__(self) -> str:
        return f"{self.listener} at {self.address}: {self.state}"
