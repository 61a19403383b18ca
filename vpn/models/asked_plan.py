"""A preview: the plan of a change that is not saved, computed by a worker."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.utils import timezone

from portal.models import Organization
from vpn.choices import PlanState

KEPT: Final = timedelta(minutes=10)


class AskedPlan(models.Model):
    """A requested preview and its plan. Each person has at most one in an organization, for a short time.

    Neither part holds a secret: the question is what the change does to rows (vpn.plan.delta), the answer a plan.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=7, choices=PlanState.choices, default=PlanState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    # `[instance id, delta]` of each change.
    question = models.JSONField()
    answer = models.JSONField(null=True, blank=True)
    # The name of a site that does not exist yet, and sentences that the page adds.
    new_site = models.CharField(max_length=40, blank=True)
    notes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "user"], name="one_plan_asked_at_a_time")
        ]

    def __str__(self) -> str:
        return f"question of {self.user_id}"

    @property
    def is_over(self) -> bool:
        """Has it expired?"""
        return self.created_at < timezone.now() - KEPT
