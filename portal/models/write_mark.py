"""The one row that /healthz writes to check whether the database accepts writes."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class WriteMark(models.Model):
    """When the last trial write succeeded."""

    ONLY: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
