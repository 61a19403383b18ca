"""Hostnames of deleted instances, reserved for their organization for a while."""

from __future__ import annotations

from django.db import models

from portal.models import Organization


class ReleasedHostname(models.Model):
    """A deleted instance's hostname: for 30 days only its organization may use it again.

    Profiles that still contain the name must not lead to another organization's hub.
    """

    hostname = models.CharField(max_length=20, unique=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE)
    released_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.hostname
