"""Branches and their routers."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from portal.models import Organization
from vpn.choices import Platform
from vpn.platforms import capabilities, versions


class Site(models.Model):
    """A branch with its router and its LAN subnets."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="sites")
    name = models.CharField(max_length=40)
    platform = models.CharField(max_length=12, choices=Platform.choices, default=Platform.ROUTEROS7)
    platform_version = models.CharField(max_length=versions.VERSION_LENGTH, blank=True)
    place = models.CharField(max_length=80, blank=True)
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    subnets = models.JSONField(default=list, blank=True)
    # LAN=ALIAS each (vpn.addressing.aliases); null if there is none.
    alias = models.JSONField(null=True, blank=True)
    last_check_in = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "name"], name="site_name_unique_in_organization")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def router(self) -> str:
        """The router's platform for pages, with the version if it is known."""
        return versions.shown(self.platform, self.platform_version)

    @property
    def version_understood(self) -> str:
        """The version number, if the entered text contains more than that; else ""."""
        number = versions.version_number(self.platform, self.platform_version)
        return "" if number == self.platform_version else number

    def why_not(self, protocol: str) -> str:
        """Why this site's router does not support a protocol, in words; empty if it does."""
        return capabilities.why_not(self.platform, self.platform_version, protocol)

    @property
    def needs_compat(self) -> bool:
        """Does this site's router need the OpenVPN listener with old ciphers?"""
        return capabilities.needs_compat(self.platform, self.platform_version)

    @property
    def has_static_routes(self) -> bool:
        """Does this site's router keep its OpenVPN routes in its own configuration?"""
        return capabilities.has_static_routes(self.platform, self.platform_version)
