"""The portal's own journal in Django admin: what belongs to no organization, such as regions and servers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from portal.admin.base import ReadOnly
from portal.audit.reading import words_of
from portal.models import JournalEntry
from portal.models.journal import PORTAL_JOURNAL

_COLUMNS = ("at", "what", "object_name", "who", "address")


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnly, admin.ModelAdmin[JournalEntry]):
    """Lines of the portal's own journal, newest first. Those of organizations are for their members alone."""

    list_display = _COLUMNS
    ordering = ("-id",)
    search_fields = ("object_name", "actor_name", "code")
    search_help_text = _("Name of the object, who acted, or the code of the act.")
    fields = readonly_fields = (*_COLUMNS, "user_agent", "code", "object_kind", "object_id", "document")

    def get_queryset(self, request: HttpRequest) -> QuerySet[JournalEntry]:
        """The portal's own lines. The journal has an index for them."""
        return super().get_queryset(request).filter(organization_id=PORTAL_JOURNAL)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None: lines stay as they are."""
        return {}

    @admin.display(description=_("what"), ordering="code")
    def what(self, line: JournalEntry) -> str:
        """The act, in words."""
        return words_of(line.code)

    @admin.display(description=_("who"))
    def who(self, line: JournalEntry) -> str:
        """Who acted."""
        return str(line.actor)
