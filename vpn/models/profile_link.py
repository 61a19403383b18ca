"""Share tokens: a profile fetched once, by the first holder of the token."""

from __future__ import annotations

import uuid

from django.db import models

from portal.models import Membership
from vpn.models.peer import Peer


class ProfileLink(models.Model):
    """A one-time token for one peer's profile, stored as a digest.

    A program that redeems it deletes it. A browser that opens it is noted, and may come back until it expires.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    peer = models.OneToOneField(Peer, on_delete=models.CASCADE, related_name="profile_link")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    # The member who created it, whom the page names before it shows the profile. Null if that member has left.
    made_by = models.ForeignKey(Membership, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    # Digest of the secret of the browser that opened it; empty until then.
    browser_digest = models.CharField(max_length=64, blank=True)
    # Hash of the passphrase that it asks for; empty for none.
    passphrase_hash = models.CharField(max_length=128, blank=True, default="", db_default="")
    # Digest of the secret of the browser that gave the passphrase, before it opened the link.
    proven_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    wrong_passphrases = models.PositiveSmallIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"share token of {self.peer_id}"
