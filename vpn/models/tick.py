"""Leases for scheduled work."""

from __future__ import annotations

from django.db import models


class Tick(models.Model):
    """When a scheduled job last began, so that two schedulers do not run it twice."""

    name = models.CharField(max_length=40, primary_key=True)
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
