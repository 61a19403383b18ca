"""A change on trial, which the hub takes back by itself unless somebody confirms it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models
from django.utils import timezone

from vpn.choices import TrialState
from vpn.models.firewall_rule import RuleRow, RuleValues
from vpn.models.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class ChangeTrialQuerySet(models.QuerySet["ChangeTrial"]):
    """Trials, filtered by state."""

    def running(self) -> ChangeTrialQuerySet:
        """The trials that nobody has confirmed or taken back."""
        return self.filter(state=TrialState.RUNNING)

    def naming(self, end: str) -> list[ChangeTrial]:
        """The running trials whose former rules name this end, such as `group:ID`."""
        return [
            one
            for one in self.running()
            if end in one.former_sources or any(end in {row.source, row.destination} for row in one.rule_values)
        ]


class ChangeTrial(models.Model):
    """The trial of an instance's last change of firewall, policy or pushed routes (vpn.wire.trial).

    The instance has the new settings; the former ones are here. A trial that was confirmed has no row. One that was
    taken back keeps its row, so that pages can say so.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.OneToOneField(Instance, on_delete=models.CASCADE, related_name="trial")
    state = models.CharField(max_length=8, choices=TrialState.choices, default=TrialState.RUNNING)
    seconds = models.PositiveIntegerField()
    # `firewall_policy`, `pushed_routes`, `management_services` and `management_sources` (absent in older rows), and
    # `firewall`: the id and the values of each rule.
    former = models.JSONField()
    # What the change was (vpn.told; sentences in older rows), and who made it.
    changed = models.JSONField(default=list)
    asked_by = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    # When the hub returns by itself, at the earliest; null until it has applied the change.
    ends_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    # False if somebody took the change back.
    was_unconfirmed = models.BooleanField(default=False)

    objects = ChangeTrialQuerySet.as_manager()

    def __str__(self) -> str:
        return f"trial of {self.instance_id}"

    @property
    def rules(self) -> list[tuple[UUID, RuleValues]]:
        """The former rules, in order."""
        return [(UUID(pk), RuleValues(*values)) for pk, *values in self.former["firewall"]]

    @property
    def rule_values(self) -> list[RuleValues]:
        """The values of the former rules, in order."""
        return [values for _, values in self.rules]

    @property
    def former_services(self) -> list[str]:
        """The services by which routers could be managed before."""
        return list(self.former.get("management_services", ()))

    @property
    def former_sources(self) -> list[str]:
        """Who could manage routers before."""
        return list(self.former.get("management_sources", ()))

    def is_over(self, now: datetime | None = None) -> bool:
        """May the hub have returned to its former settings by now?"""
        return self.ends_at is not None and self.ends_at <= (now or timezone.now())


def running_trial(instance: Instance) -> ChangeTrial | None:
    """The instance's running trial, as it was selected along with the instance, or by a query."""
    try:
        trial = instance.trial
    except ChangeTrial.DoesNotExist:
        return None
    return trial if trial.state == TrialState.RUNNING else None


def former_settings(instance: Instance, rules: Sequence[RuleRow]) -> dict[str, Any]:
    """The settings of an instance as a trial keeps them; `rules` are its rules."""
    return {
        "firewall_policy": instance.firewall_policy,
        "pushed_routes": list(instance.pushed_routes),
        "management_services": list(instance.management_services),
        "management_sources": list(instance.management_sources),
        "firewall": [[str(row.pk), *row.values] for row in rules],
    }
