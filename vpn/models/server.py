"""A Linux host that carries hubs."""

from __future__ import annotations

import uuid

from django.db import models

from vpn.models.region import Region


class Server(models.Model):
    """One host in a region; each instance on it has a network namespace of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="servers")
    name = models.CharField(max_length=60)
    address = models.GenericIPAddressField(null=True, blank=True, help_text="public address that profiles point to")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
