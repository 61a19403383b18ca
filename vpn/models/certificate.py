"""Certificates beside the ones that peers show now: those that are still good, and those that are no more."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.models.instance import Instance
from vpn.models.peer import Peer


class EarlierCertificate(models.Model):
    """A certificate of a peer that was renewed: it stays good until its end, and ends with the peer's keys."""

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
    """A certificate that the hub's revocation list names, until it would have ended by itself."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="revoked_certificates")
    serial = models.CharField(max_length=40)
    revoked_at = models.DateTimeField()
    # None for those that were revoked before this was noted.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "serial"], name="certificate_revoked_once")
        ]

    def __str__(self) -> str:
        return f"revoked certificate {self.serial}"
