"""Certificates besides the present ones of peers: earlier ones that are still valid, and revoked ones."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.models.instance import Instance
from vpn.models.peer import Peer


class EarlierCertificate(models.Model):
    """A peer's certificate before a renewal. It stays valid until it expires or the peer's keys end."""

    peer = models.ForeignKey(Peer, on_delete=models.CASCADE, related_name="earlier_certificates")
    serial = models.CharField(max_length=40)
    expires_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["peer", "serial"], name="certificate_earlier_once")
        ]

    def __str__(self) -> str:
        return f"earlier certificate {self.serial}"


class RevokedCertificate(models.Model):
    """A certificate on the hub's revocation list, until its own expiry."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="revoked_certificates")
    serial = models.CharField(max_length=40)
    revoked_at = models.DateTimeField()
    # None for certificates that were revoked before this column existed.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "serial"], name="certificate_revoked_once")
        ]

    def __str__(self) -> str:
        return f"revoked certificate {self.serial}"
