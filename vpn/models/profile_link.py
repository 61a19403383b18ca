"""Share tokens: a profile fetched once, by whoever holds the token."""

from __future__ import annotations

import uuid

from django.db import models

from vpn.models.peer import Peer


class ProfileLink(models.Model):
    """A one-time token for one peer's profile, kept as a digest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    peer = models.OneToOneField(Peer, on_delete=models.CASCADE, related_name="profile_link")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"share token of {self.peer_id}"
