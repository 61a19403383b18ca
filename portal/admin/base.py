"""What the pages of Django admin about the portal's own rows share."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import allauth.account.admin
import allauth.mfa.admin  # noqa: F401
import django.contrib.auth.admin  # noqa: F401
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import models as auth_models
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.admin.paging import CappedPaginator
from portal.models import Principal, User
from portal.sign_in.admin_login import change_password_elsewhere, sign_in_elsewhere

admin.site.site_header = admin.site.site_title = gettext_lazy("VPN portal")
admin.site.index_title = gettext_lazy("Operations")
# One sign-in page for everyone, with its rate limits and second factor. Django's own form would ask for neither.
admin.site.login = sign_in_elsewhere  # type: ignore[method-assign]
admin.site.password_change = change_password_elsewhere  # type: ignore[method-assign,assignment]
# Registered by their own apps, but unused here.
admin.site.unregister([EmailAddress, Authenticator, auth_models.Group])


class WrittenElsewhere:
    """For rows that staff may look at and delete, but neither add nor change."""

    # It would count all rows of the table for each page of a search.
    show_full_result_count = False
    paginator: ClassVar[type] = CappedPaginator

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The portal's pages and jobs add them, with their rules."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They stay as they were written."""
        return False


class ReadOnly(WrittenElsewhere):
    """For rows that staff may only look at."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The portal's pages delete them, so that hubs and journals follow."""
        return False


def principal_of(request: HttpRequest) -> Principal:
    """The principal in Django admin, which only staff can use."""
    return request.user.staff_principal  # type: ignore[union-attr]


def is_superuser(request: HttpRequest) -> bool:
    """May they do what other staff may not?"""
    return isinstance(request.user, User) and request.user.is_superuser


def row_link(row: Model | None) -> str:
    """A link to a row's own page; "" for none."""
    if row is None:
        return ""
    return format_html('<a href="{}">{}</a>', reverse(_address(type(row), "change"), args=[row.pk]), row)


def list_link(model: type[Model], words: object, **chosen: str | UUID | None) -> str:
    """A link to the list of a model, with these filters."""
    return format_html(
        '<a href="{}?{}">{}</a>',
        reverse(_address(model, "changelist")),
        urlencode({name: str(value) for name, value in chosen.items()}),
        words,
    )


def linked(name: str, to: type[Model], lookup: str = "") -> type[admin.SimpleListFilter]:
    """A filter by one row of another model, for links: it never lists all of them, since there may be thousands."""

    class Linked(admin.SimpleListFilter):
        title = to._meta.verbose_name or name
        parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            """The row that is chosen. Raises IncorrectLookupParameters for what is no key."""
            if (value := self.value()) is None:
                return []
            try:
                key = to._meta.pk.to_python(value)
            except ValidationError as fault:
                raise IncorrectLookupParameters from fault
            return [(value, str(to._default_manager.filter(pk=key).first() or _("deleted meanwhile")))]  # noqa: SLF001

        def has_output(self) -> bool:
            """Only where a link chose a row."""
            return self.value() is not None

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            """The rows of the chosen one."""
            return queryset if self.value() is None else queryset.filter(**{lookup or name: self.value()})

    return Linked


def _address(model: type[Model], page: str) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
