"""A user in an organization, with the role that decides what they may do there."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models.functions import Coalesce, Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.models.organization import DEFAULT_DEVICES, Organization
from portal.models.principal import Principal, PrincipalKind
from portal.models.receipt import Receipt
from portal.models.user import User
from portal.naming import dns_label, free_label
from portal.told import text_in_words

if TYPE_CHECKING:
    from portal.models.sign_in_provider import SignInProvider

_SLUG_LENGTH = 40
# Of what a directory calls a person or a group.
DIRECTORY_LENGTH = 254


class Role(models.TextChoices):
    """The rights of a member."""

    ADMIN = "admin", _("Admin")
    AUDITOR = "auditor", _("Auditor")
    OPERATOR = "operator", _("Operator")
    MEMBER = "member", _("Member")


class MembershipState(models.TextChoices):
    """Whether the member is invited, active or deactivated."""

    INVITED = "invited", _("Invited")
    ACTIVE = "active", _("Active")
    DEACTIVATED = "deactivated", _("Deactivated")


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Memberships."""

    def active_of(self, user_id: UUID) -> list[Membership]:
        """The active memberships of a user, by organization name, with user and organization."""
        found = self.filter(user=user_id, state=MembershipState.ACTIVE)
        return list(found.select_related("organization", "user").order_by("organization__name", "id"))

    def admin_addresses(self, organization_id: UUID) -> list[str]:
        """The mail addresses of an organization's admins."""
        admins = self.filter(organization=organization_id, role=Role.ADMIN, state=MembershipState.ACTIVE)
        return list(admins.filter(user__is_active=True).exclude(user__email="").values_list("user__email", flat=True))

    def by_directory_name(self) -> MembershipQuerySet:
        """With `known_by`, the userName that a directory uses: the one that it chose, else the account's address."""
        return self.annotate(known_by=_known_by())

    def known_as(self, name: str) -> MembershipQuerySet:
        """Those whom a directory knows by this userName, in any case."""
        return self.annotate(known_by=_known_by()).filter(known_by__iexact=name)


class Membership(models.Model):
    """One user's membership in one organization. Its id is the user id in the API."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    # The instances whose peers an operator manages, as a list of ids; None for all other roles.
    instance_ids = models.JSONField(null=True, blank=True, default=None)
    state = models.CharField(max_length=12, choices=MembershipState.choices, default=MembershipState.INVITED)
    # The person's label in DNS names of their devices, unique in the organization.
    slug = models.CharField(max_length=_SLUG_LENGTH, blank=True)
    # From then on an invitation cannot be accepted; None for no end.
    invited_until = models.DateTimeField(null=True, blank=True)
    # How many devices they may have and still add one; None means as many as the organization says.
    most_devices = models.PositiveSmallIntegerField(null=True, blank=True)
    # What a directory calls them by SCIM: its userName, where it is not the account's address, and its externalId.
    directory_name = models.CharField(max_length=DIRECTORY_LENGTH, null=True, blank=True)  # noqa: DJ001 - unique
    external_id = models.CharField(max_length=DIRECTORY_LENGTH, null=True, blank=True)  # noqa: DJ001 - unique
    # Was it a directory that deactivated them? Only then a directory may activate them again.
    deactivated_by_directory = models.BooleanField(default=False, db_default=False)
    # When the last link was mailed to them, and why the mail server refused it (portal.told, as text; a sentence
    # in older rows; "" if it did not).
    link_mailed_at = models.DateTimeField(null=True, blank=True)
    link_fault = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # The API token of the current request, or None on pages. Not a column.
    acting_token: Principal | None = None
    # The only instances that this token may be used for; None without a limit. Not a column.
    acting_instances: frozenset[UUID] | None = None
    # The provider that made the session of the request, or None (portal.access). Not a column.
    through: SignInProvider | None = None

    # What ended with the change that was just made, or None. Not a column.
    receipt: Receipt | None = None

    objects: ClassVar = MembershipQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once_per_organization"),
            models.UniqueConstraint(
                fields=["organization", "slug"], condition=~models.Q(slug=""), name="membership_slug_unique"
            ),
            models.UniqueConstraint(Lower("directory_name"), "organization", name="membership_directory_name_unique"),
            models.UniqueConstraint(
                # With a condition it is an index, which SQLite adds without making the table anew.
                fields=["organization", "external_id"],
                condition=models.Q(external_id__isnull=False),
                name="membership_external_id_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a member without a slug gets a free one. The caller must hold the organization's lock."""
        if not self.slug:
            self.slug = self.free_slug()
        super().save(*args, **kwargs)

    @property
    def link_fault_words(self) -> str:
        """Why the last mail with a link did not go out, in words; "" if it did."""
        return text_in_words(self.link_fault)

    def free_slug(self) -> str:
        """Return a free slug from the person's current name, or from their address if they have no name."""
        wanted = slug_of(self.user)
        others = Membership.objects.filter(organization=self.organization_id).exclude(pk=self.pk)
        taken = others.filter(slug__startswith=wanted[: _SLUG_LENGTH // 2]).values_list("slug", flat=True)
        return free_label(wanted, set(taken), longest=_SLUG_LENGTH)

    @property
    def label(self) -> str:
        """The person's name, or their address if they have no name."""
        return self.user.label

    @property
    def principal(self) -> Principal:
        """The principal of this member: the API token of the request, or else the member."""
        return self.acting_token or Principal(PrincipalKind.MEMBER, str(self.pk), self.user.email)

    @property
    def is_admin(self) -> bool:
        """True if this member may make changes."""
        return self.role == Role.ADMIN

    @property
    def sees_everything(self) -> bool:
        """True if this member may read everything in the organization."""
        return self.role in {Role.ADMIN, Role.AUDITOR}

    @property
    def is_invitation_over(self) -> bool:
        """True for an invitation that can no longer be accepted."""
        over = self.invited_until is not None and self.invited_until <= timezone.now()
        return over and self.state == MembershipState.INVITED

    @property
    def device_limit(self) -> int:
        """How many devices this person may have and still add one themselves."""
        limits = (self.most_devices, self.organization.devices_per_member, DEFAULT_DEVICES)
        return next(limit for limit in limits if limit is not None)

    @property
    def is_operator(self) -> bool:
        """True if this member manages the peers of some instances, and nothing else."""
        return self.role == Role.OPERATOR

    @property
    def operated(self) -> frozenset[UUID]:
        """The ids of the instances whose peers this operator manages; empty for all other roles.

        A token of theirs may be limited to fewer.
        """
        if not self.is_operator:
            return frozenset()
        listed = frozenset(UUID(one) for one in self.instance_ids or ())
        return listed if self.acting_instances is None else listed & self.acting_instances

    def manages_peers_of(self, instance_id: UUID) -> bool:
        """May this member change the peers of an instance of their organization?"""
        return self.is_admin or instance_id in self.operated


def _known_by() -> Coalesce:
    return Coalesce("directory_name", "user__email", output_field=models.CharField())


def slug_of(user: User) -> str:
    """Return a person's DNS label, which another member may have too."""
    address, _, _ = user.email.partition("@")
    fallback = dns_label(address, fallback="member", longest=_SLUG_LENGTH)
    return dns_label(user.name, fallback=fallback, longest=_SLUG_LENGTH)
