"""A user in an organization, with the role that decides what they may do there."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models

from portal.models.organization import Organization
from portal.models.principal import Principal, PrincipalKind
from portal.models.user import User
from portal.naming import dns_label, free_label

_SLUG_LENGTH = 40


class Role(models.TextChoices):
    """What a member may do."""

    ADMIN = "admin", "Admin"
    AUDITOR = "auditor", "Auditor"
    MEMBER = "member", "Member"


class MembershipState(models.TextChoices):
    """Whether the member has come, and still belongs."""

    INVITED = "invited", "Invited"
    ACTIVE = "active", "Active"
    DEACTIVATED = "deactivated", "Deactivated"


class Membership(models.Model):
    """One user's place in one organization. Its id is what the API calls a user's id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    state = models.CharField(max_length=12, choices=MembershipState.choices, default=MembershipState.INVITED)
    # The person in the names of their devices: one DNS label, unique in the organization.
    slug = models.CharField(max_length=_SLUG_LENGTH, blank=True)
    # The last link that was mailed to them, and why the mail server did not take it ("" where it did).
    link_mailed_at = models.DateTimeField(null=True, blank=True)
    link_fault = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # The API token by which the member acts in this request; no column. None on pages.
    acting_token: Principal | None = None

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once_per_organization"),
            models.UniqueConstraint(
                fields=["organization", "slug"], condition=~models.Q(slug=""), name="membership_slug_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Give a member who has no slug yet one that is free. The caller holds the organization's lock."""
        if not self.slug:
            self.slug = self.free_slug()
        super().save(*args, **kwargs)

    def free_slug(self) -> str:
        """The slug that follows from the person's name now, or from their address where no name is known."""
        wanted = slug_of(self.user)
        others = Membership.objects.filter(organization=self.organization_id).exclude(pk=self.pk)
        taken = others.filter(slug__startswith=wanted[: _SLUG_LENGTH // 2]).values_list("slug", flat=True)
        return free_label(wanted, set(taken), longest=_SLUG_LENGTH)

    @property
    def label(self) -> str:
        """The person's name, or address where no name is known."""
        return self.user.label

    @property
    def principal(self) -> Principal:
        """Who acts where this member does: the API token of the request, or else the member."""
        return self.acting_token or Principal(PrincipalKind.MEMBER, str(self.pk), self.user.email)

    @property
    def is_admin(self) -> bool:
        """May this member change things?"""
        return self.role == Role.ADMIN

    @property
    def sees_everything(self) -> bool:
        """May this member read what belongs to the whole organization?"""
        return self.role in {Role.ADMIN, Role.AUDITOR}


def slug_of(user: User) -> str:
    """A person as one DNS label, which another member may have too."""
    address, _, _ = user.email.partition("@")
    fallback = dns_label(address, fallback="member", longest=_SLUG_LENGTH)
    return dns_label(user.name, fallback=fallback, longest=_SLUG_LENGTH)
