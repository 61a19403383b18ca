"""API tokens for programs: shown once, stored as a digest."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.models.membership import Membership, Role
from portal.models.principal import Principal, PrincipalKind

PREFIX = "vpn_"
NAME_LENGTH = 60
# A forgotten token expires by itself.
DEFAULT_LIFE = timedelta(days=365)


class Ceiling(models.TextChoices):
    """The most that calls with a token may do; the member's role limits them as well."""

    READ = "read", _("Read")
    MANAGE = "manage", _("Read and change")
    # A kind of its own: SCIM alone, and no other token can do that.
    SCIM = "scim", _("Provision people (SCIM)")

    @classmethod
    def highest_of(cls, membership: Membership) -> Ceiling:
        """The highest ceiling that a member's role allows: auditors only read."""
        return cls.READ if membership.role == Role.AUDITOR else cls.MANAGE

    @classmethod
    def offered_to(cls, membership: Membership) -> list[Ceiling]:
        """What a member may choose for a token of theirs."""
        offered = [cls.READ] if cls.highest_of(membership) == cls.READ else [cls.READ, cls.MANAGE]
        return [*offered, cls.SCIM] if membership.is_admin else offered


class ApiToken(models.Model):
    """A bearer token that acts as one member of one organization. Revoking it deletes its row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_tokens")
    # Its purpose, entered by its owner.
    name = models.CharField(max_length=NAME_LENGTH, blank=True, default="", db_default="")
    ceiling = models.CharField(
        max_length=10, choices=Ceiling.choices, default=Ceiling.MANAGE, db_default=Ceiling.MANAGE.value
    )
    # The only instances that it may be used for, as a list of ids; None for the whole organization.
    # A list stays a limit when its instances are deleted.
    instance_ids = models.JSONField(null=True, blank=True, default=None)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.GenericIPAddressField(null=True, blank=True)

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

    @property
    def instances(self) -> frozenset[UUID] | None:
        """The ids of the only instances that it may be used for; None for the whole organization."""
        return None if self.instance_ids is None else frozenset(UUID(one) for one in self.instance_ids)

    @staticmethod
    def digest_of(token: str) -> str:
        """SHA-256 of a token, hexadecimal. Tokens have 256 random bits, so neither salt nor a slow hash is needed."""
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(
        cls,
        membership: Membership,
        *,
        name: str = "",
        expires_at: datetime | None = None,
        ceiling: Ceiling = Ceiling.MANAGE,
        instances: Iterable[UUID] | None = None,
    ) -> tuple[ApiToken, str]:
        """Create a token for a member; its text cannot be read again. Actions check quota and limits first."""
        text = PREFIX + secrets.token_urlsafe(32)
        made = cls.objects.create(
            membership=membership,
            name=name,
            digest=cls.digest_of(text),
            expires_at=expires_at,
            ceiling=ceiling,
            instance_ids=None if instances is None else sorted({str(pk) for pk in instances}),
        )
        return made, text
