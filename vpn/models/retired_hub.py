"""Hubs that instances have left on a server."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from vpn.models.instance import Instance
from vpn.models.server import Server


class RetiredHub(models.Model):
    """A hub that is to be removed from a server, because its instance runs elsewhere or is gone.

    With `forwards_to`, the server forwards the hub's ports there, for clients that still use its address. The row
    outlives its instance, until the server has confirmed that nothing is left.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hub = models.CharField(max_length=10)
    instance = models.ForeignKey(
        Instance, on_delete=models.SET_NULL, related_name="retired_hubs", null=True, blank=True
    )
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="retired_hubs")
    port_base = models.PositiveIntegerField()
    # The server takes no specification of this epoch or an earlier one any more.
    epoch = models.PositiveIntegerField()
    # The addresses and the first port of the present hub; no address: nothing is forwarded.
    forwards_to = models.JSONField(default=list, blank=True)
    forwards_to_port = models.PositiveIntegerField(null=True, blank=True)
    # When the server confirmed that its hub has ended and its ports are forwarded as above.
    forwarding_since = models.DateTimeField(null=True, blank=True)
    # The packets that clients exchanged with the present hub over this server, and when the number last rose.
    packets = models.PositiveBigIntegerField(default=0)
    used_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(default=timezone.now)
    # When it is looked at next, and why the last look failed, as a finding.
    due_at = models.DateTimeField(default=timezone.now, db_index=True)
    finding = models.JSONField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering: ClassVar[list[str]] = ["retired_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["hub", "server"], name="retired_hub_once_on_server")
        ]

    def __str__(self) -> str:
        return f"{self.hub} on {self.server}"

    @property
    def is_forwarding(self) -> bool:
        """Should the server forward the hub's ports?"""
        return bool(self.forwards_to)
