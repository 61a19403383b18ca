"""API tokens for programs: shown once, stored as a digest."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from portal.models.membership import Membership
from portal.models.principal import Principal, PrincipalKind

PREFIX = "vpn_"
NAME_LENGTH = 60
# A forgotten token expires by itself.
DEFAULT_LIFE = timedelta(days=365)


class ApiToken(models.Model):
    """A bearer token that acts as one member of one organization. Revoking it deletes its row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_tokens")
    # Its purpose, entered by its owner.
    name = models.CharField(max_length=NAME_LENGTH, blank=True, default="", db_default="")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name or f"token of {self.membership}"

    @property
    def principal(self) -> Principal:
        """The principal of requests with this token; one without a name is named after its member."""
        return Principal(PrincipalKind.TOKEN, str(self.pk), self.name or f"of {self.membership.user.email}")

    @property
    def is_expired(self) -> bool:
        """True if the token has expired."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @staticmethod
    def digest_of(token: str) -> str:
        """SHA-256 of a token, hexadecimal. Tokens have 256 random bits, so neither salt nor a slow hash is needed."""
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(
        cls, membership: Membership, *, name: str = "", expires_at: datetime | None = None
    ) -> tuple[ApiToken, str]:
        """Create a token for a member; its text cannot be read again. Actions check the quota first."""
        text = PREFIX + secrets.token_urlsafe(32)
        made = cls.objects.create(membership=membership, name=name, digest=cls.digest_of(text), expires_at=expires_at)
        return made, text
