"""The members who are mailed about a change."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from portal.models import Membership
from vpn.models.change_plan import ChangePlan


class PlanMail(models.Model):
    """One member who is mailed about one change. The row is written first, so that no member gets two mails."""

    plan = models.ForeignKey(ChangePlan, on_delete=models.CASCADE, related_name="mails")
    member = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    claimed_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    # The mail server refused it for good: it is not retried.
    refused = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["plan", "member"], name="plan_mailed_once")
        ]

    def __str__(self) -> str:
        return f"mail to {self.member_id}"
