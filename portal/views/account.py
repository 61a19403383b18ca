"""Allauth's pages that work without mail, each marked as checking for itself who asks."""

from __future__ import annotations

from typing import Any

from allauth.account import views
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.access import checks_itself, ended_memberships


class LoginView(views.LoginView):  # type: ignore[misc]  # allauth ships no types
    """Allauth's sign-in page, which offers to sign up only where strangers may."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add `sign_up_open`."""
        return {**super().get_context_data(**kwargs), "sign_up_open": settings.ALLOW_SIGNUP}


login = checks_itself(LoginView.as_view())
logout = checks_itself(views.logout)
inactive = checks_itself(login_not_required(views.account_inactive))
password_change = checks_itself(views.password_change)


@require_safe
@checks_itself
def nowhere(request: HttpRequest) -> HttpResponse:
    """For somebody who signed in and works in no organization (any more): what that means, and what to do."""
    if ended := ended_memberships(request):
        return render(request, "account/deactivated.html", {"ended": ended})
    return render(request, "account/nowhere.html")


@login_not_required
@checks_itself
def signup(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """Signing up, where strangers may; otherwise there is no such page."""
    if not settings.ALLOW_SIGNUP:
        raise Http404
    response: HttpResponseBase = views.signup(request, *args, **kwargs)
    return response
