"""Addresses of deleted peers, in quarantine before another peer gets them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from vpn.models.instance import Instance


class ReleasedHost(models.Model):
    """A deleted peer's host number. For a day other numbers are preferred (vpn.addressing.pools).

    Packets that are still sent to the address, such as on an old connection, must not reach another's device.
    """

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="released_hosts")
    host = models.PositiveIntegerField()
    released_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "host"], name="released_host_once")
        ]

    def __str__(self) -> str:
        return f"released host {self.host}"
