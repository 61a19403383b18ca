"""Groups of members, so that a rule can name many people at once."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

from portal.models.membership import DIRECTORY_LENGTH, Membership
from portal.models.organization import Organization


class Group(models.Model):
    """A named group of an organization's members."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=40)
    members = models.ManyToManyField(Membership, related_name="groups", blank=True)
    # Since when a directory may change it by SCIM; None if only people may.
    provisioned_since = models.DateTimeField(null=True, blank=True)
    external_id = models.CharField(max_length=DIRECTORY_LENGTH, null=True, blank=True)  # noqa: DJ001 - unique
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(Lower("name"), "organization", name="group_name_unique_in_organization"),
            models.UniqueConstraint(
                fields=["organization", "external_id"],
                condition=models.Q(external_id__isnull=False),
                name="group_external_id_unique",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_provisioned(self) -> bool:
        """True if a directory may change it by SCIM."""
        return self.provisioned_since is not None
