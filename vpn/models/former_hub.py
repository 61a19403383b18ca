"""Servers that a hub was on before, of which they have nothing any more."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.models.instance import Instance
from vpn.models.server import Server


class FormerHub(models.Model):
    """A hub whose present keys a server had until it moved away.

    While something of it is left there, the server has a RetiredHub instead. The row goes once the hub has new keys.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="former_hubs")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="former_hubs")
    left_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["left_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["server", "instance"], name="former_hub_once_on_server")
        ]

    def __str__(self) -> str:
        return f"{self.instance} on {self.server}"
