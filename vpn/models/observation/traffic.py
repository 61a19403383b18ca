"""The traffic of each instance, by day."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Traffic(models.Model):
    """Bytes of one instance on one day (UTC), as the hub counts them."""

    instance = models.ForeignKey("vpn.Instance", on_delete=models.CASCADE, related_name="traffic")
    day = models.DateField()
    incoming_bytes = models.PositiveBigIntegerField(default=0)
    outgoing_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "day"], name="traffic_once_per_day")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["day"], name="traffic_age")]

    def __str__(self) -> str:
        return f"{self.instance_id} on {self.day}"
