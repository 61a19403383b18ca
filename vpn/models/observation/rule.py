"""How many packets a firewall rule decided on."""

from __future__ import annotations

from django.db import models


class RuleObservation(models.Model):
    """What a hub counted for one firewall rule. No row: the rule never matched.

    Jobs alone write it. A rule that is replaced leaves its row, so that no action waits for it: `tidy` removes it.
    """

    rule = models.OneToOneField(
        "vpn.FirewallRule",
        on_delete=models.DO_NOTHING,
        primary_key=True,
        related_name="observation",
        db_constraint=False,
    )
    hits = models.PositiveBigIntegerField(default=0)
    # The hub's own counter at the last observation; it begins anew when the hub does.
    counter_hits = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"observation of {self.rule_id}"
