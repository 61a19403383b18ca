"""Django admin for the portal's staff. Passwords, tokens and keys are not shown, not even as hashes."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import allauth.account.admin
import allauth.mfa.admin  # noqa: F401
import django.contrib.auth.admin  # noqa: F401
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import models as auth_models
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from portal.actions.link_mail import mail_link
from portal.actions.organization import invite_admin, needs_admin
from portal.actions.second_factor import reset_second_factor
from portal.actions.sign_in_link import one_time_link
from portal.actions.slug import follow_name, lock_organizations_of
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.forms.organization import (
    LIMIT_FIELDS,
    StaffOrganizationChangeForm,
    StaffOrganizationForm,
    StaffOrganizationNameForm,
)
from portal.mail import reaches_people
from portal.models import ApiToken, Group, Mail, Membership, Organization, Principal, QueuedMail, User
from portal.sign_in.admin_login import change_password_elsewhere, sign_in_elsewhere
from portal.signals import membership_changed

admin.site.site_header = admin.site.site_title = "VPN portal"
admin.site.index_title = "Operations"
# One sign-in page for everyone, with its rate limits and second factor. Django's own form would ask for neither.
admin.site.login = sign_in_elsewhere  # type: ignore[method-assign]
admin.site.password_change = change_password_elsewhere  # type: ignore[method-assign,assignment]
# Registered by their own apps, but unused here.
admin.site.unregister([EmailAddress, Authenticator, auth_models.Group])


class WrittenElsewhere:
    """For rows that staff may look at and delete, but neither add nor change."""

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


class MembershipInline(admin.TabularInline[Membership, Organization]):
    """An organization's members, read-only."""

    model = Membership
    fields = readonly_fields = ("user", "role", "state", "created_at")
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Members are added on the People page, which enforces the rules."""
        return False


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin[Organization]):
    """Tenants."""

    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    readonly_fields = ("id", "created_at")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)

    def get_fieldsets(self, request: HttpRequest, obj: Organization | None = None) -> Any:
        """Show the fields for inviting an admin if the organization has none who can sign in."""
        own = ("id", "name", "slug", "created_at") if obj else ("name", "slug")
        asked = (*own, "admin_email", "admin_name") if obj is None or needs_admin(obj) else own
        about = "Limits of this organization. Existing objects above a new limit stay, but no more can be added."
        return [(None, {"fields": asked}), ("Quotas", {"fields": LIMIT_FIELDS, "description": about})]

    def get_form(
        self, request: HttpRequest, obj: Organization | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[Organization]]:
        """The admin is required for a new organization, and optional for an existing one."""
        if obj is None:
            form: type[ModelForm[Organization]] = StaffOrganizationForm
        else:
            form = StaffOrganizationChangeForm if needs_admin(obj) else StaffOrganizationNameForm
        return super().get_form(request, obj, change=change, form=form, **kwargs)

    def save_related(self, request: HttpRequest, form: ModelForm[Organization], formsets: Any, change: bool) -> None:
        """Invite the admin in the same transaction as the organization."""
        super().save_related(request, form, formsets, change)
        if email := form.cleaned_data.get("admin_email"):
            try:
                invited = invite_admin(
                    form.instance, email, form.cleaned_data.get("admin_name", ""), by=_principal(request)
                )
            except (Conflict, InvalidInput) as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
            else:
                form.instance._invited = invited  # type: ignore[attr-defined]  # noqa: SLF001

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
            "title": f"Link for {invited.label}",
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
            sent = mail_link(invited, by=_principal(request))
        except NotPossible as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        else:
            told = f"A link is on its way to {invited.user.email}." if sent else invited.link_fault
            self.message_user(request, told, messages.SUCCESS if sent else messages.ERROR)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not here: its admins must delete its instances first."""
        return False


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    """Accounts. Deactivating one ends all of its access."""

    list_display = ("email", "name", "proven", "is_active", "is_staff", "last_login", "date_joined")
    list_filter = ("proven", "is_active", "is_staff")
    search_fields = ("email", "name")
    fields = ("id", "email", "proven", "name", "is_active", "is_staff", "is_superuser", "last_login", "date_joined")
    actions = ("reset_factors",)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only superusers may make an account staff."""
        fixed = ("id", "email", "proven", "last_login", "date_joined")
        return fixed if _is_superuser(request) else (*fixed, "is_staff", "is_superuser")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Accounts are created together with a membership."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Accounts are deactivated instead; memberships are removed on the People page."""
        return False

    @admin.action(permissions=["change"], description="Reset the second factor of the selected users")
    def reset_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """For people who lost theirs. Only superusers may do it for staff, and only who confirmed a few minutes ago."""
        if get_adapter(request).is_reauthentication_required(app="portal"):
            self.message_user(request, "Once it is confirmed that it is you, choose the action again.", messages.INFO)
            return redirect_to_login(request.get_full_path(), reverse("account_reauthenticate"), "next")
        for user in queryset:
            if (user.is_staff or user.is_superuser) and not _is_superuser(request):
                self.message_user(request, f"{user} is staff: only superusers reset their factor.", messages.ERROR)
            else:
                reset_second_factor(user, by=_principal(request))
                self.message_user(request, f"The second factor of {user} is reset.", messages.SUCCESS)
        return None

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Save, and update the hubs in the same transaction."""
        with transaction.atomic():
            lock_organizations_of(obj.pk)
            super().save_model(request, obj, form, change)
            for membership in Membership.objects.filter(user=obj).select_related("user", "organization"):
                if "is_active" in form.changed_data:
                    if not obj.is_active:
                        ApiToken.objects.filter(membership=membership).delete()
                    membership_changed.send(sender=Membership, membership=membership, by=_principal(request))
                follow_name(membership, str(form.initial.get("name", obj.name)), by=_principal(request))


@admin.register(Membership)
class MembershipAdmin(ReadOnly, admin.ModelAdmin[Membership]):
    """Memberships, read-only."""

    list_display = ("user", "organization", "role", "state", "created_at")
    list_filter = ("role", "state")
    list_select_related = ("user", "organization")
    search_fields = ("user__email", "user__name", "organization__name")


@admin.register(Group)
class GroupAdmin(ReadOnly, admin.ModelAdmin[Group]):
    """Groups of members, read-only."""

    list_display = ("name", "organization", "created_at")
    list_select_related = ("organization",)
    search_fields = ("name", "organization__name")


@admin.register(ApiToken)
class ApiTokenAdmin(WrittenElsewhere, admin.ModelAdmin[ApiToken]):
    """API tokens: whose they are and when they were last used. Deleting one ends it at once."""

    list_display = ("__str__", "membership", "ceiling", "created_at", "expires_at", "last_used_at")
    list_select_related = ("membership__user", "membership__organization")
    search_fields = ("name", "membership__user__email", "membership__organization__name")
    fields = (
        "name",
        "membership",
        "ceiling",
        "instance_ids",
        "created_at",
        "expires_at",
        "last_used_at",
        "last_used_from",
    )


def _principal(request: HttpRequest) -> Principal:
    """The principal in Django admin, which only staff can use."""
    return request.user.staff_principal  # type: ignore[union-attr]


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser


@admin.register(Mail)
class MailAdmin(WrittenElsewhere, admin.ModelAdmin[Mail]):
    """Mail that was not sent because there is no mail server, for staff to read and pass on."""

    list_display = ("subject", "to", "created_at")
    search_fields = ("to", "subject")
    readonly_fields = ("to", "subject", "body", "created_at")


@admin.register(QueuedMail)
class QueuedMailAdmin(WrittenElsewhere, admin.ModelAdmin[QueuedMail]):
    """Mail that the mail server has not accepted yet, and why. Deleting one cancels it."""

    list_display = ("recipient", "kind", "requested_at", "fault")
    list_select_related = ("membership__user",)
    fields = readonly_fields = ("recipient", "kind", "requested_at", "claimed_at", "fault")
