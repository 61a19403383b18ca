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

from portal.actions.api_token import revoke_token
from portal.actions.second_factor import reset_second_factor
from portal.actions.staff_save import save_account
from portal.admin.base import ReadOnly, WrittenElsewhere, is_superuser, principal_of
from portal.models import ApiToken, Group, Membership, User


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
        return fixed if is_superuser(request) else (*fixed, "is_staff", "is_superuser")

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
            if (user.is_staff or user.is_superuser) and not is_superuser(request):
                self.message_user(request, f"{user} is staff: only superusers reset their factor.", messages.ERROR)
            else:
                reset_second_factor(user, by=principal_of(request))
                self.message_user(request, f"The second factor of {user} is reset.", messages.SUCCESS)
        return None

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Save, and update the hubs in the same transaction."""
        save_account(obj, by=principal_of(request))


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

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """End the token."""
        revoke_token(obj, by=principal_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End the tokens."""
        with transaction.atomic():
            for token in queryset:
                revoke_token(token, by=principal_of(request))
