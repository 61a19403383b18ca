"""What all pages of Django admin share: rows that only actions change, and who acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from portal.admin.paging import CappedPaginator
from portal.exceptions import Conflict
from portal.models import Principal

if TYPE_CHECKING:  # Django's own classes take no type parameter at run time.
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin, TabularInline = admin.ModelAdmin, admin.TabularInline

# Columns that no page shows: sealed values, leases and digests, and codes of sentences that are shown beside.
HIDDEN = (
    "revocation_list",
    "lease",
    "lease_token",
    "applied_total",
    "told",
)


class ReadOnly(ModelAdmin):
    """Rows that only actions change: staff can only read them."""

    changeable: tuple[str, ...] = ()
    # What hubs report: names of the methods below.
    observed: tuple[str, ...] = ()
    show_full_result_count = False
    paginator = CappedPaginator

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Every column but the hidden ones."""
        names = [field.name for field in self.model._meta.fields if field.name not in HIDDEN]
        # Matched by its ending, so that a sealed column added later is hidden too.
        return [name for name in names if not name.endswith("_sealed")] + [*self.observed]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Everything but the fields named in `changeable`."""
        return [name for name in self.get_fields(request, obj) if name not in self.changeable]

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nothing can be added: only the portal's actions create rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nothing can be deleted: deleting a row would leave its hub, or its key, on a server."""
        return False

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **options: Any
    ) -> HttpResponse | None:
        """Run the chosen action; keys that cannot be a row's get a message."""
        key = self.model._meta.pk
        try:
            for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key.to_python(chosen)
        except ValidationError:
            messages.error(request, _("A chosen row does not exist. Nothing was changed."))
            return None
        return super().response_action(request, queryset, *args, **options)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Only fields named in `changeable` can be changed."""
        return bool(self.changeable) and super().has_change_permission(request, obj)


def principal_of(request: HttpRequest) -> Principal:
    """The acting principal in Django admin: staff, since it admits no other user."""
    return request.user.staff_principal  # type: ignore[union-attr]


def act_on_each(request: HttpRequest, chosen: Iterable[Any], act: Callable[..., object], done: str) -> None:
    """Run an action on each row, and report each result: `done` is a sentence with %(name)s, the name of the row."""
    for row in chosen:
        try:
            act(row, by=principal_of(request))
        except Conflict as refusal:
            messages.error(request, f"{row.name}: {refusal.message}")
        else:
            messages.success(request, done % {"name": row.name})
