"""A user in an organization, with the role that decides what they may do there."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from portal.models.organization import Organization
from portal.models.user import User


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
    slug = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once_per_organization"),
            models.UniqueConstraint(
                fields=["organization", "slug"], condition=~models.Q(slug=""), name="membership_slug_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"

    @property
    def label(self) -> str:
        """The person's name, or address where no name is known."""
        return self.user.label

    @property
    def is_admin(self) -> bool:
        """May this member change things?"""
        return self.role == Role.ADMIN

    @property
    def sees_everything(self) -> bool:
        """May this member read what belongs to the whole organization?"""
        return self.role in {Role.ADMIN, Role.AUDITOR}
