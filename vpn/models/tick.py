"""Leases for scheduled work."""

from __future__ import annotations

from django.db import models


class Tick(models.Model):
    """When a scheduled piece of work last began: keeps two schedulers from doing it twice."""

    name = models.CharField(max_length=40, primary_key=True)
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
