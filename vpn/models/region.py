"""Regions: where hubs can run."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.choices import Driver


class Region(models.Model):
    """A region, with the driver that reaches its servers."""

    id = models.SlugField(primary_key=True, max_length=20)
    name = models.CharField(max_length=60)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2")
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    driver = models.CharField(max_length=10, choices=Driver.choices, default=Driver.LOCAL)
    available = models.BooleanField(default=True)
    unavailable_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name
