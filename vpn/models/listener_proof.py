"""The reachability of each listener of a hub from outside of its server."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.choices import Listener, ProofCause, Reachability
from vpn.models.instance import Instance


class ListenerProof(models.Model):
    """One listener of one hub at one of its addresses: the result of the last knock, or of the last device."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="proofs")
    listener = models.CharField(max_length=15, choices=Listener.choices)
    # The address that was knocked on, and whether most devices use that one.
    address = models.CharField(max_length=45, blank=True)
    is_first = models.BooleanField(default=True)
    state = models.CharField(max_length=12, choices=Reachability.choices)
    # Why it is not proven; empty if it is.
    cause = models.CharField(max_length=10, choices=ProofCause.choices, blank=True)
    # Since when knocks fail; null if the last one succeeded.
    failing_since = models.DateTimeField(null=True, blank=True)
    # When a device last began a connection here. A connection after `failing_since` counts more than a failed knock.
    arrived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["listener", "address"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "listener", "address"], name="listener_proof_unique")
        ]

    def __str__(self) -> str:
        return f"{self.listener} at {self.address}: {self.state}"
