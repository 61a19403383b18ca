"""Allauth's pages that work without mail, each marked as checking for itself who asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe

from portal.access import checks_itself, ended_memberships
from portal.actions.account import take_address_back
from portal.mail import reaches_people
from portal.models import User
from portal.sign_in.known_devices import remember_device


class LoginView(views.LoginView):  # type: ignore[misc]  # allauth ships no types
    """Allauth's sign-in page, which offers to sign up only where strangers may."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add `sign_up_open` and `by_mail`."""
        offered = {"sign_up_open": settings.ALLOW_SIGNUP, "by_mail": reaches_people()}
        return {**super().get_context_data(**kwargs), **offered}


class PasswordResetFromKeyView(views.PasswordResetFromKeyView):  # type: ignore[misc]
    """Allauth's page behind the link of a mail."""

    def form_valid(self, form: Form) -> HttpResponseBase:
        """Set the password; the address is this account's from now on."""
        with transaction.atomic():
            response: HttpResponseBase = super().form_valid(form)
            take_address_back(self.reset_user, by=self.reset_user.principal)
        return response


login = checks_itself(LoginView.as_view())
logout = checks_itself(views.logout)
inactive = checks_itself(login_not_required(views.account_inactive))


@checks_itself
def password_change(request: HttpRequest) -> HttpResponseBase:
    """Changing one's password; the device in which it is done stays known."""
    response: HttpResponseBase = views.password_change(request)
    if request.method == "POST" and response.status_code == 302 and isinstance(request.user, User):
        remember_device(request, response, request.user)
    return response


def _where_mail_is_sent(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """There is no such page where the portal sends no mail."""

    @login_not_required
    @checks_itself
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not reaches_people():
            raise Http404
        return view(request, *args, **kwargs)

    return wrapped


password_reset = _where_mail_is_sent(views.password_reset)
password_reset_done = _where_mail_is_sent(views.password_reset_done)
password_reset_from_key = _where_mail_is_sent(
    sensitive_post_parameters()(never_cache(PasswordResetFromKeyView.as_view()))
)


@require_safe
@checks_itself
def nowhere(request: HttpRequest) -> HttpResponse:
    """For a user without a membership (any more): what that means, and what to do."""
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
