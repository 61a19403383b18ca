"""Django admin's sign-in and password pages lead to the portal's own, with their limits and second factor."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme


@login_not_required
def sign_in_elsewhere(request: HttpRequest, extra_context: Any = None) -> HttpResponse:
    """Lead strangers to the sign-in page, and staff on; refuse everyone else."""
    wanted = request.GET.get(REDIRECT_FIELD_NAME, "")
    is_own = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    page = wanted if is_own else reverse("admin:index")
    if not request.user.is_authenticated:
        return redirect(f"{reverse('account_login')}?{urlencode({REDIRECT_FIELD_NAME: page})}")
    if not request.user.is_staff:
        raise PermissionDenied
    return redirect(page)


def change_password_elsewhere(request: HttpRequest, extra_context: Any = None) -> HttpResponse:
    """Lead to the portal's own page."""
    return redirect("account_change_password")
