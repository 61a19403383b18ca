"""Accounts, memberships, groups and API tokens in Django admin."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.actions.api_token import revoke_token
from portal.actions.link_mail import mail_link
from portal.actions.second_factor import reset_second_factor
from portal.actions.staff_save import save_account
from portal.admin.base import ReadOnly, WrittenElsewhere, is_superuser, linked, list_link, principal_of, row_link
from portal.admin.paging import CappedPaginator
from portal.exceptions import NotPossible
from portal.mail import reaches_people
from portal.models import ApiToken, Group, Membership, Organization, User


class LinkFault(admin.SimpleListFilter):
    """Members whose link the mail server refused."""

    title = gettext_lazy("mail of the link")
    parameter_name = "mail"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Only what failed: the others got theirs, or need none."""
        return [("failed", _("Failed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those with a fault."""
        return queryset.exclude(link_fault="") if self.value() else queryset


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    """Accounts. Deactivating one ends all of its access."""

    list_display = ("email", "name", "proven", "is_active", "is_staff", "last_login", "date_joined")
    list_filter = ("proven", "is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email", "pk")
    show_full_result_count = False
    paginator = CappedPaginator
    fields = (
        *("id", "email", "proven", "name", "is_active", "is_staff", "is_superuser", "last_login", "date_joined"),
        "related",
    )
    actions = ("reset_factors",)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only superusers may make an account staff, or change one that is."""
        fixed = ("id", "email", "proven", "last_login", "date_joined", "related")
        if is_superuser(request):
            return fixed
        is_ours = obj is not None and (obj.is_staff or obj.is_superuser)
        return (*fixed, "is_staff", "is_superuser", *(("name", "is_active") if is_ours else ()))

    @admin.display(description=gettext_lazy("its rows"))
    def related(self, user: User) -> str:
        """Links to its memberships, and to its API tokens."""
        found = [
            list_link(Membership, _("memberships"), user=user.pk),
            list_link(ApiToken, _("API tokens"), user=user.pk),
        ]
        return format_html_join(", ", "{}", ((link,) for link in found))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Accounts are created together with a membership."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Accounts are deactivated instead; memberships are removed on the People page."""
        return False

    @admin.action(permissions=["change"], description=gettext_lazy("Reset the second factor of the selected users"))
    def reset_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """For people who lost theirs. Only superusers may do it for staff, and only who confirmed a few minutes ago."""
        if get_adapter(request).is_reauthentication_required(app="portal"):
            self.message_user(
                request, _("Once it is confirmed that it is you, choose the action again."), messages.INFO
            )
            return redirect_to_login(request.get_full_path(), reverse("account_reauthenticate"), "next")
        for user in queryset:
            if (user.is_staff or user.is_superuser) and not is_superuser(request):
                self.message_user(
                    request,
                    _("%(person)s is staff: only superusers reset their factor.") % {"person": user},
                    messages.ERROR,
                )
            else:
                reset_second_factor(user, by=principal_of(request))
                self.message_user(
                    request, _("The second factor of %(person)s is reset.") % {"person": user}, messages.SUCCESS
                )
        return None

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Save, and update the hubs in the same transaction."""
        save_account(obj, by=principal_of(request))


@admin.register(Membership)
class MembershipAdmin(ReadOnly, admin.ModelAdmin[Membership]):
    """Memberships, read-only, with the mail of their links."""

    list_display = ("user", "account", "of", "role", "state", "link_mailed_at", "why", "created_at")
    list_filter = ("role", "state", LinkFault, linked("organization", Organization), linked("user", User))
    list_select_related = ("user", "organization")
    search_fields = ("user__email", "user__name", "organization__name")
    ordering = ("-created_at", "pk")
    actions = ("mail_again",)

    @admin.display(description=gettext_lazy("link fault"), ordering="link_fault")
    def why(self, membership: Membership) -> str:
        """Why the last link did not go out."""
        return membership.link_fault_words

    @admin.display(description=gettext_lazy("account"))
    def account(self, membership: Membership) -> str:
        """A link to the account."""
        return row_link(membership.user)

    @admin.display(description=gettext_lazy("organization"), ordering="organization__name")
    def of(self, membership: Membership) -> str:
        """A link to the organization."""
        return row_link(membership.organization)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The act needs the right to change members; viewing does not include it."""
        allowed = request.user.has_perm("portal.change_membership")
        return super().get_actions(request) if allowed else {}

    @admin.action(description=gettext_lazy("Mail a new sign-in link"))
    def mail_again(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        """Mail links to the selected members, as their admin could."""
        if not reaches_people():
            self.message_user(request, _("EMAIL_URL names no mail server, so no link is mailed."), messages.ERROR)
            return
        for membership in queryset.select_related("user", "organization"):
            try:
                sent = mail_link(membership, by=principal_of(request))
            except NotPossible as refusal:
                self.message_user(request, f"{membership.user.email}: {refusal}", messages.ERROR)
                continue
            told = (
                _("A link is on its way to %(address)s.") % {"address": membership.user.email}
                if sent
                else membership.link_fault_words
            )
            self.message_user(request, told, messages.SUCCESS if sent else messages.ERROR)


@admin.register(Group)
class GroupAdmin(ReadOnly, admin.ModelAdmin[Group]):
    """Groups of members, read-only."""

    list_display = ("name", "of", "created_at")
    list_filter = (linked("organization", Organization),)
    list_select_related = ("organization",)
    ordering = ("name", "pk")
    search_fields = ("name", "organization__name")

    @admin.display(description=gettext_lazy("organization"), ordering="organization__name")
    def of(self, group: Group) -> str:
        """A link to the organization."""
        return row_link(group.organization)


@admin.register(ApiToken)
class ApiTokenAdmin(WrittenElsewhere, admin.ModelAdmin[ApiToken]):
    """API tokens: whose they are and when they were last used. Deleting one ends it at once."""

    list_display = ("__str__", "whose", "ceiling", "created_at", "expires_at", "last_used_at")
    list_filter = (
        "ceiling",
        linked("organization", Organization, "membership__organization"),
        linked("user", User, "membership__user"),
    )
    ordering = ("-created_at", "pk")
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

    @admin.display(description=gettext_lazy("member"))
    def whose(self, token: ApiToken) -> str:
        """A link to the membership."""
        return row_link(token.membership)

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """End the token."""
        revoke_token(obj, by=principal_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End the tokens."""
        with transaction.atomic():
            for token in queryset:
                revoke_token(token, by=principal_of(request))
