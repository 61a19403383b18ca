"""Tokens for programs: shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from django.db import models

from portal.models.membership import Membership

PREFIX = "vpn_"


class ApiToken(models.Model):
    """A bearer token that acts as one member of one organization."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"token of {self.membership}"

    @staticmethod
    def digest_of(token: str) -> str:
        """SHA-256 of a token, hexadecimal. Tokens carry 256 random bits, so no salt or stretching is needed."""
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(cls, membership: Membership) -> tuple[ApiToken, str]:
        """Make a token for a member; the text is returned here and never again."""
        text = PREFIX + secrets.token_urlsafe(32)
        return cls.objects.create(membership=membership, digest=cls.digest_of(text)), text
