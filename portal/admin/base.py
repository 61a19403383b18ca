"""What the pages of Django admin about the portal's own rows share."""

from __future__ import annotations

from typing import Any

import allauth.account.admin
import allauth.mfa.admin  # noqa: F401
import django.contrib.auth.admin  # noqa: F401
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth import models as auth_models
from django.http import HttpRequest

from portal.models import Principal, User
from portal.sign_in.admin_login import change_password_elsewhere, sign_in_elsewhere

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


def principal_of(request: HttpRequest) -> Principal:
    """The principal in Django admin, which only staff can use."""
    return request.user.staff_principal  # type: ignore[union-attr]


def is_superuser(request: HttpRequest) -> bool:
    """May they do what other staff may not?"""
    return isinstance(request.user, User) and request.user.is_superuser
