"""The routers of sites that enrolled by themselves: their tokens, as digests, and what they reported."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from vpn.models.peer import Peer


class Router(models.Model):
    """A site peer's router that fetches its configuration itself.

    `enrolment_digest` is of the single-use token with which a router enrols. `digest` is of its check-in token, and
    `next_digest` of the one that takes its place once the router uses it. A row whose peer is gone, or with `ended_at`,
    tells its router to take the tunnel down.
    """

    peer = models.OneToOneField(Peer, on_delete=models.SET_NULL, null=True, related_name="router")
    enrolment_digest = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - unique
    enrolment_ends_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - unique
    next_digest = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - unique
    token_made_at = models.DateTimeField(null=True)
    enrolled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    # What the router says of itself when it enrols.
    model = models.CharField(max_length=80, blank=True)
    version = models.CharField(max_length=80, blank=True)
    identity = models.CharField(max_length=80, blank=True)
    reported_subnets = models.JSONField(default=list)

    # What it says at each check-in. Fingerprints are those of vpn.routers.configuration.
    checked_in_at = models.DateTimeField(null=True)
    addresses = models.JSONField(default=list)
    handshake_at = models.DateTimeField(null=True)
    applied = models.CharField(max_length=64, blank=True)
    # The configuration from which it went back by itself; it is not offered again.
    refused = models.CharField(max_length=64, blank=True)
    refused_at = models.DateTimeField(null=True)
    refused_why = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at"], condition=models.Q(peer=None), name="router_without_peer")
        ]

    def __str__(self) -> str:
        return f"router of {self.peer_id}"

    @property
    def is_enrolled(self) -> bool:
        """Has its router a check-in token?"""
        return self.enrolled_at is not None and self.ended_at is None
