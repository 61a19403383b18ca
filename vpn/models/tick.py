"""Leases for scheduled work."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class Tick(models.Model):
    """When a scheduled job last began, so that two schedulers do not run it twice, and when it last finished."""

    name = models.CharField(max_length=40, primary_key=True)
    last_at = models.DateTimeField()
    # From its creation on, so that a job that never finishes is noticed.
    finished_at = models.DateTimeField(default=timezone.now, db_default=Now())

    def __str__(self) -> str:
        return self.name
