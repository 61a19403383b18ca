"""The preparation of a server: its steps, which staff follow."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from vpn.choices import PreparationStepName, StepState
from vpn.models.server import Server


class Preparation(models.Model):
    """The last preparation of a server. Each one has another `attempt`."""

    server = models.OneToOneField(Server, on_delete=models.CASCADE, related_name="preparation", primary_key=True)
    attempt = models.UUIDField(default=uuid.uuid4)
    is_running = models.BooleanField(default=True)
    started_at = models.DateTimeField()
    # When it was last continued. If that is long ago, the worker was killed, and another continues.
    continued_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"Preparation of {self.server}"


class PreparationStep(models.Model):
    """One step of the preparation."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="preparation_steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=20, choices=PreparationStepName.choices)
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.WAITING)
    # What was found, such as "debian-12".
    value = models.CharField(max_length=80, blank=True)
    # Why it failed, as a finding.
    refusal = models.JSONField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["server", "position"], name="preparation_step_position_unique")
        ]

    def __str__(self) -> str:
        return f"{self.get_name_display()} ({self.get_state_display()})"
