"""Firewall rules of a hub."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple, Self

from django.db import models

from vpn.choices import RevisedSection, RuleAction, RuleProtocol
from vpn.models.instance import Instance
from vpn.models.observation import RuleObservation
from vpn.models.revised import RevisedModel, RevisedQuerySet

_DEFAULTS: Final = {
    "name": "",
    "action": RuleAction.ACCEPT.value,
    "protocol": RuleProtocol.ANY.value,
    "port": "",
    "source": "any",
    "destination": "any",
}


class FirewallRule(RevisedModel):
    """One rule. The first rule that matches decides; the instance's policy applies if none matches."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="firewall_rules")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=40, blank=True)
    action = models.CharField(max_length=6, choices=RuleAction.choices, default=RuleAction.ACCEPT)
    protocol = models.CharField(max_length=6, choices=RuleProtocol.choices, default=RuleProtocol.ANY)
    # "443" or "1000-2000"; empty for every port.
    port = models.CharField(max_length=11, blank=True)
    # A network, `any`, `site:ID`, `user:ID` or `group:ID`.
    source = models.CharField(max_length=60, default="any")
    destination = models.CharField(max_length=60, default="any")

    section = RevisedSection.RULES
    objects = RevisedQuerySet["FirewallRule"].as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["instance", "position"], name="firewall_rule_order")
        ]

    def __str__(self) -> str:
        return self.name or f"rule {self.position + 1}"

    @property
    def hits(self) -> int:
        """The packets that the rule decided on. It takes a query unless `observation` was selected along."""
        try:
            return self.observation.hits
        except RuleObservation.DoesNotExist:
            return 0


class RuleValues(NamedTuple):
    """A rule's values as they are stored, in canonical form; fields as in the API."""

    name: str
    action: str
    protocol: str
    port: str
    source: str
    destination: str

    @classmethod
    def given(cls, values: Mapping[str, Any]) -> Self:
        """The values that were entered, unchecked; an absent field gets its default."""
        return cls(*[str(values.get(field, default)).strip() for field, default in _DEFAULTS.items()])


class RuleRow(NamedTuple):
    """What is read of a rule's row where a thousand of them are read: values, since models take four times as long."""

    pk: uuid.UUID
    position: int
    values: RuleValues

    @classmethod
    def all_of(cls, instance: Instance) -> list[Self]:
        """The instance's rules in their order; one query."""
        columns = instance.firewall_rules.values_list("pk", "position", *RuleValues._fields)
        return [cls(pk, position, RuleValues(*values)) for pk, position, *values in columns]
