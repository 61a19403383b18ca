"""Mail in Django admin: what was kept for staff to pass on, and what the mail server has not accepted yet."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.actions.queued_mail import send_again
from portal.actions.staff_save import cancel_mails, delete_mails
from portal.admin.base import WrittenElsewhere, principal_of, row_link
from portal.models import Mail, QueuedMail


@admin.register(Mail)
class MailAdmin(WrittenElsewhere, admin.ModelAdmin[Mail]):
    """Mail that was not sent because there is no mail server, for staff to read and pass on."""

    list_display = ("subject", "to", "created_at")
    search_fields = ("to", "subject")
    readonly_fields = ("to", "subject", "body", "created_at")

    def delete_model(self, request: HttpRequest, obj: Mail) -> None:
        """Delete what was passed on."""
        delete_mails(Mail.objects.filter(pk=obj.pk), by=principal_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Mail]) -> None:
        """Delete what was passed on."""
        delete_mails(queryset, by=principal_of(request))


class Refused(admin.SimpleListFilter):
    """Mail that the mail server did not take at the last try, or that waits for its first."""

    title = gettext_lazy("last try")
    parameter_name = "last"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Failed or not."""
        return [("failed", _("Failed")), ("waiting", _("Not tried yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those with a fault, or without."""
        if self.value() == "failed":
            return queryset.exclude(fault="")
        return queryset.filter(fault="") if self.value() == "waiting" else queryset


@admin.register(QueuedMail)
class QueuedMailAdmin(WrittenElsewhere, admin.ModelAdmin[QueuedMail]):
    """Mail that the mail server has not accepted yet, and why. Deleting one cancels it.

    What was refused for good is gone from here: the page of the member has the reason.
    """

    list_display = ("recipient", "whose", "kind", "requested_at", "claimed_at", "why")
    list_filter = ("kind", Refused)
    list_select_related = ("membership__user", "membership__organization")
    search_fields = ("address", "membership__user__email", "membership__organization__name")
    actions = ("again",)
    fields = readonly_fields = ("recipient", "whose", "kind", "requested_at", "claimed_at", "why")

    @admin.display(description=gettext_lazy("member"))
    def whose(self, mail: QueuedMail) -> str:
        """A link to the member."""
        return row_link(mail.membership)

    @admin.display(description=gettext_lazy("fault"), ordering="fault")
    def why(self, mail: QueuedMail) -> str:
        """Why the mail server did not take it."""
        return mail.fault_words

    @admin.action(permissions=["delete"], description=gettext_lazy("Send again now"))
    def again(self, request: HttpRequest, queryset: QuerySet[QueuedMail]) -> None:
        """Let a worker send them now, and try for another hour."""
        for mail in queryset:
            if send_again(mail, by=principal_of(request)):
                self.message_user(request, _("%(mail)s: a worker sends it now.") % {"mail": mail}, messages.SUCCESS)
            else:
                self.message_user(
                    request, _("%(mail)s: it is being sent, or was sent.") % {"mail": mail}, messages.INFO
                )

    def delete_model(self, request: HttpRequest, obj: QueuedMail) -> None:
        """Cancel it."""
        cancel_mails(QueuedMail.objects.filter(pk=obj.pk), by=principal_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[QueuedMail]) -> None:
        """Cancel it."""
        cancel_mails(queryset, by=principal_of(request))
