"""Regions: where hubs can run."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.choices import Driver, ServerState


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

    @property
    def why_closed(self) -> str:
        """Why no new instance can be placed here, in a sentence; "" if one can. One query, except for this machine."""
        if not self.available:
            return self.unavailable_reason or f"{self.name} takes no instances at the moment."
        if self.driver == Driver.LOCAL:
            return ""
        open_servers = self.servers.filter(state=ServerState.READY, cordoned=False)
        if open_servers.exists():
            return ""
        return f"{self.name} has no server that is ready. Choose another region, or ask the operator."
