"""Mail about outdated profiles in Django admin: who got it, who waits, and whom the mail server refused."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.admin.base import row_link
from vpn.admin.base import ReadOnly
from vpn.models import PlanMail


class Outcome(admin.SimpleListFilter):
    """What became of a mail."""

    title = gettext_lazy("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Sent, refused, or neither yet."""
        return [("sent", _("Sent")), ("refused", _("Refused")), ("waiting", _("Not sent yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PlanMail]) -> QuerySet[PlanMail]:
        """Those with the outcome."""
        wanted: dict[str, dict[str, Any]] = {
            "sent": {"sent_at__isnull": False},
            "refused": {"refused": True},
            "waiting": {"sent_at": None, "refused": False},
        }
        return queryset.filter(**wanted.get(self.value() or "", {}))


@admin.register(PlanMail)
class PlanMailAdmin(ReadOnly):
    """A refused mail is not tried again, since the address is at fault. One not sent yet is, for a day."""

    list_display = ("recipient", "hub", "claimed_at", "sent_at", "refused")
    list_filter = (Outcome,)
    search_fields = ("member__user__email", "plan__instance__name")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanMail]:
        """Without the documents of plans, which may be long."""
        rows: QuerySet[PlanMail] = super().get_queryset(request)
        return rows.select_related("member__user", "plan__instance").defer(
            "plan__plan", "plan__outdated", "plan__delta"
        )

    @admin.display(description=gettext_lazy("recipient"))
    def recipient(self, mail: PlanMail) -> str:
        """The address."""
        return mail.member.user.email

    @admin.display(description=gettext_lazy("instance"))
    def hub(self, mail: PlanMail) -> str:
        """A link to the instance whose change outdated the profiles."""
        return row_link(mail.plan.instance)
