"""The tenant: nothing crosses its border."""

from __future__ import annotations

import uuid

from django.db import models


class Organization(models.Model):
    """Owns instances, sites and members."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60)
    slug = models.SlugField(max_length=40, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
