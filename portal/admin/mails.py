"""Mail in Django admin: what was kept for staff to pass on, and what the mail server has not accepted yet."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from portal.actions.staff_save import cancel_mails, delete_mails
from portal.admin.base import WrittenElsewhere, principal_of
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


@admin.register(QueuedMail)
class QueuedMailAdmin(WrittenElsewhere, admin.ModelAdmin[QueuedMail]):
    """Mail that the mail server has not accepted yet, and why. Deleting one cancels it."""

    list_display = ("recipient", "kind", "requested_at", "fault")
    list_select_related = ("membership__user",)
    fields = readonly_fields = ("recipient", "kind", "requested_at", "claimed_at", "fault")

    def delete_model(self, request: HttpRequest, obj: QueuedMail) -> None:
        """Cancel it."""
        cancel_mails(QueuedMail.objects.filter(pk=obj.pk), by=principal_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[QueuedMail]) -> None:
        """Cancel it."""
        cancel_mails(queryset, by=principal_of(request))
