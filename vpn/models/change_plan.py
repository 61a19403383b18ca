"""The plan of a saved change."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from vpn.choices import PlanState
from vpn.models.instance import Instance
from vpn.models.operation import Operation


class ChangePlan(models.Model):
    """What one saved change opens, closes and outdates, shown with the operation that carried it to the hub."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="change_plans")
    # The generation that the change created.
    generation = models.PositiveBigIntegerField()
    operation = models.ForeignKey(
        Operation, on_delete=models.CASCADE, related_name="change_plans", null=True, blank=True
    )
    # The settings and rules that it changed (vpn.told); sentences in older rows.
    changed = models.JSONField(default=list)
    # Until the plan is computed, `delta` (vpn.plan.delta) holds what the change did.
    state = models.CharField(max_length=7, choices=PlanState.choices, default=PlanState.READY)
    delta = models.JSONField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # The document of a `vpn.plan.explaining.Plan`.
    plan = models.JSONField(default=dict)
    # The ids of all peers whose profile it outdated; `plan` names the first of them. There may be thousands, so pages
    # defer this column.
    outdated = models.JSONField(default=list)
    # True once `outdated` was emptied to save space: the portal then mails nobody about this change.
    outdated_dropped = models.BooleanField(default=False, db_default=False)
    # When an admin requested mail to the people affected, when sending was last tried, and when it was finished.
    mail_requested_at = models.DateTimeField(null=True, blank=True)
    mail_tried_at = models.DateTimeField(null=True, blank=True)
    mail_finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["generation"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["instance", "generation"], condition=Q(state="waiting"), name="plan_waiting"),
            models.Index(fields=["created_at"], name="plan_age"),
        ]

    def __str__(self) -> str:
        return f"change to generation {self.generation}"
