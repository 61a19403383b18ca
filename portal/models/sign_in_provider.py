"""An organization's own sign-in provider, its groups, and the identities of members with it."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from portal.models.group import Group
from portal.models.membership import Membership
from portal.models.organization import Organization
from portal.sealing import Sealed

ISSUER_LENGTH = 300
CLIENT_LENGTH = 255
SUBJECT_LENGTH = 255
THEIR_GROUP_LENGTH = 200
ATTRIBUTE_LENGTH = 200


class ProviderKind(models.TextChoices):
    """How it signs people in; a provider keeps its kind, because their subjects are different names."""

    OIDC = "oidc", "OpenID Connect"
    SAML = "saml", "SAML 2.0"


class SignInProvider(models.Model):
    """Signs in members of one organization, and counts for nothing outside it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="sign_in_provider")
    kind = models.CharField(max_length=8, choices=ProviderKind.choices, default=ProviderKind.OIDC)
    # The name on the button.
    name = models.CharField(max_length=40)
    # SAML: the entity ID of the provider's metadata; "" until there is one.
    issuer = models.CharField(max_length=ISSUER_LENGTH)
    client_id = models.CharField(max_length=CLIENT_LENGTH)
    client_secret_sealed = models.TextField()
    # Asked for beside `openid email profile`.
    scopes = models.CharField(max_length=200, blank=True)
    # SAML, of the metadata: where people sign in, and the certificates (DER in base64) that check its signatures.
    sign_in_page = models.CharField(max_length=500, blank=True)
    certificates = models.JSONField(default=list, blank=True)
    # SAML: the attributes with a person's mail address and name; "" for none.
    mail_attribute = models.CharField(max_length=ATTRIBUTE_LENGTH, blank=True)
    name_attribute = models.CharField(max_length=ATTRIBUTE_LENGTH, blank=True)
    # The claim that lists the provider's groups; "" for none.
    groups_claim = models.CharField(max_length=100, blank=True)
    # People whom nobody invited join as members, if the provider has verified an address of these domains.
    may_join = models.BooleanField(default=False)
    domains = models.JSONField(default=list, blank=True)
    # Signing in by it is enough where the organization requires a second factor.
    is_second_factor = models.BooleanField(default=False)
    enabled = models.BooleanField(default=False)
    # When an admin last signed in there to try it, with the present issuer and client.
    tried_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    client_secret = Sealed("client_secret_sealed")

    def __str__(self) -> str:
        return self.name

    @property
    def is_saml(self) -> bool:
        """True if it speaks SAML."""
        return self.kind == ProviderKind.SAML

    @property
    def fingerprints(self) -> list[str]:
        """SHA-256 of each certificate, as the journal has them."""
        return sorted(hashlib.sha256(base64.b64decode(one)).hexdigest() for one in self.certificates)

    @property
    def mapping(self) -> list[str]:
        """The provider's groups with ours, as an admin writes them."""
        found = self.groups.select_related("group").order_by("name", "group__name")
        return [f"{one.name} | {one.group.name}" for one in found]


class ProviderGroup(models.Model):
    """Whoever is in a group of the provider is in one of ours."""

    provider = models.ForeignKey(SignInProvider, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=THEIR_GROUP_LENGTH)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["provider", "name", "group"], name="provider_group_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} | {self.group}"


class ProviderIdentityQuerySet(models.QuerySet["ProviderIdentity"]):
    """Identities."""

    def usable(self) -> ProviderIdentityQuerySet:
        """Those of providers that are switched on and still have this issuer. Staff sign in by their own means."""
        mine = self.filter(provider__enabled=True, issuer=F("provider__issuer"), membership__user__is_staff=False)
        return mine.select_related("provider")


class ProviderIdentity(models.Model):
    """Issuer and subject that sign in as a member, after the person has confirmed it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.ForeignKey(SignInProvider, on_delete=models.CASCADE, related_name="identities")
    membership = models.OneToOneField(Membership, on_delete=models.CASCADE, related_name="provider_identity")
    issuer = models.CharField(max_length=ISSUER_LENGTH)
    subject = models.CharField(max_length=SUBJECT_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = ProviderIdentityQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("provider identities")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["provider", "issuer", "subject"], name="provider_identity_once")
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
