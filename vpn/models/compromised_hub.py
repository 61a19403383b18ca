"""Hubs whose secrets a compromised server has."""

from __future__ import annotations

import uuid
from typing import ClassVar, Final

from django.db import models
from django.utils import timezone

from vpn.models.instance import Instance
from vpn.models.server import Server

LONGEST_REASON: Final = 400


class CompromisedHub(models.Model):
    """How far the job is that gives a hub new keys and another server.

    Each column is written together with what it tells, so that a job that was killed goes on from there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="compromised_hubs")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="compromised_hubs")
    noted_at = models.DateTimeField(default=timezone.now)
    # When the hub's own keys were replaced, the last peer whose were, and when those of all peers were.
    keys_at = models.DateTimeField(null=True, blank=True)
    last_peer = models.UUIDField(null=True, blank=True)
    peers_at = models.DateTimeField(null=True, blank=True)
    # When the hub ran with them on a server that was not compromised.
    finished_at = models.DateTimeField(null=True, blank=True)
    # When it is looked at next, and what it waits for, told to staff (portal.told).
    due_at = models.DateTimeField(default=timezone.now)
    waits_for = models.CharField(max_length=LONGEST_REASON, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["noted_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["server", "instance"], name="compromised_hub_once_on_server")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], condition=models.Q(finished_at=None), name="compromised_hub_due")
        ]

    def __str__(self) -> str:
        return f"{self.instance} on {self.server}"
