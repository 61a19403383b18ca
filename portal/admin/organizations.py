"""Organizations in Django admin: staff add them with their first admin, and set their limits."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from portal.actions.link_mail import mail_link
from portal.actions.organization import needs_admin
from portal.actions.sign_in_link import one_time_link
from portal.actions.staff_save import save_organization
from portal.admin.base import list_link, principal_of
from portal.admin.paging import CappedPaginator
from portal.exceptions import NotPossible
from portal.forms.organization import (
    LIMIT_FIELDS,
    StaffOrganizationChangeForm,
    StaffOrganizationForm,
    StaffOrganizationNameForm,
)
from portal.mail import reaches_people
from portal.models import Group, Membership, Organization


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin[Organization]):
    """Tenants."""

    list_display: tuple[str, ...] = ("name", "slug", "created_at", "related")
    search_fields = ("name", "slug", "memberships__user__email")
    search_help_text = gettext_lazy("Name, short name, or the address of a member.")
    ordering = ("name", "pk")
    show_full_result_count = False
    paginator = CappedPaginator
    readonly_fields = ("id", "created_at", "related")
    prepopulated_fields = {"slug": ("name",)}

    @admin.display(description=gettext_lazy("its rows"))
    def related(self, organization: Organization) -> str:
        """Links to the lists of what belongs to it."""
        return format_html_join(", ", "{}", ((link,) for link in self.links_of(organization)))

    def links_of(self, organization: Organization) -> list[str]:
        """One link for each list."""
        return [
            list_link(Membership, pgettext("label", "members"), organization=organization.pk),
            list_link(Group, pgettext("label", "groups"), organization=organization.pk),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Organization | None = None) -> Any:
        """Show the fields for inviting an admin if the organization has none who can sign in."""
        own = ("id", "name", "slug", "created_at", "related") if obj else ("name", "slug")
        asked = (*own, "admin_email", "admin_name") if obj is None or needs_admin(obj) else own
        about = _("Limits of this organization. Existing objects above a new limit stay, but no more can be added.")
        return [(None, {"fields": asked}), (_("Quotas"), {"fields": LIMIT_FIELDS, "description": about})]

    def get_form(
        self, request: HttpRequest, obj: Organization | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[Organization]]:
        """The admin is required for a new organization, and optional for an existing one."""
        if obj is None:
            form: type[ModelForm[Organization]] = StaffOrganizationForm
        else:
            form = StaffOrganizationChangeForm if needs_admin(obj) else StaffOrganizationNameForm
        return super().get_form(request, obj, change=change, form=form, **kwargs)

    def save_model(self, request: HttpRequest, obj: Organization, form: ModelForm[Organization], change: bool) -> None:
        """Save it, and invite its admin in the same transaction."""
        given = form.cleaned_data
        invited, refused = save_organization(
            obj,
            by=principal_of(request),
            is_new=not change,
            email=given.get("admin_email", ""),
            name=given.get("admin_name", ""),
        )
        if refused:
            self.message_user(request, refused, messages.ERROR)
        obj._invited = invited  # type: ignore[attr-defined]  # noqa: SLF001

    def response_add(
        self, request: HttpRequest, obj: Organization, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the invited admin's link once."""
        return self._link_of_invited(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Organization) -> HttpResponse:
        """Show the link if an admin was invited."""
        return self._link_of_invited(request, obj) or super().response_change(request, obj)

    def _link_of_invited(self, request: HttpRequest, obj: Organization) -> HttpResponse | None:
        invited = getattr(obj, "_invited", None)
        if invited is None:
            return None
        if reaches_people():
            # After the commit, because Redis counts the mails and may be slow.
            transaction.on_commit(partial(self._mail_link, request, invited))
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Link for %(person)s") % {"person": invited.label},
            "organization": obj,
            "person": invited,
            "link": one_time_link(invited),
            "until": timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
        }
        response = TemplateResponse(request, "admin/portal/organization/link.html", context)
        add_never_cache_headers(response)
        return response

    def _mail_link(self, request: HttpRequest, invited: Membership) -> None:
        try:
            sent = mail_link(invited, by=principal_of(request))
        except NotPossible as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        else:
            told = (
                _("A link is on its way to %(address)s.") % {"address": invited.user.email}
                if sent
                else invited.link_fault_words
            )
            self.message_user(request, told, messages.SUCCESS if sent else messages.ERROR)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not here: its admins must delete its instances first."""
        return False
