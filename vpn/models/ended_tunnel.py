"""A device that lost its tunnel because its owner was deactivated or removed, and whether the hub confirmed that."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from portal.models import Receipt
from vpn.choices import Protocol


class EndedTunnel(models.Model):
    """One device on a receipt, by value: device, hub and server may be gone by the time that it is read."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    receipt = models.ForeignKey(Receipt, on_delete=models.CASCADE, related_name="tunnels")
    peer_id = models.UUIDField()
    device = models.CharField(max_length=40, blank=True)
    protocol = models.CharField(max_length=10, choices=Protocol.choices)
    instance_id = models.UUIDField()
    instance_name = models.CharField(max_length=60)
    # The server that had the hub then; None and "" if it had none.
    server_id = models.UUIDField(null=True)
    server_name = models.CharField(max_length=60, blank=True)
    was_connected = models.BooleanField()
    asked_at = models.DateTimeField()
    # The hub is without the device once it confirms this generation.
    generation = models.PositiveBigIntegerField()
    confirmed_at = models.DateTimeField(null=True)
    # The server that confirmed it.
    confirmed_by = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["instance_name", "device", "id"]
        indexes: ClassVar[list[models.Index]] = [
            # For each confirmation of a hub: nearly always empty.
            models.Index(
                fields=["instance_id"], condition=models.Q(confirmed_at__isnull=True), name="ended_tunnel_unconfirmed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device or 'a device'} on {self.instance_name}"
