"""allauth's pages, each marked as doing its own access check."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views
from allauth.account.decorators import reauthentication_required
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
from portal.models import SignInProvider, User
from portal.sign_in.known_devices import remember_device
from portal.views.provider_sign_in import COOKIE


class LoginView(views.LoginView):  # type: ignore[misc]  # allauth ships no types
    """allauth's sign-in page, which offers sign-up only if it is allowed."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add `sign_up_open`, `by_mail`, and the provider that signed in here last."""
        slug = self.request.COOKIES.get(COOKIE, "")[:40]
        last = SignInProvider.objects.filter(organization__slug=slug, enabled=True).first() if slug else None
        offered = {"sign_up_open": settings.ALLOW_SIGNUP, "by_mail": reaches_people(), "last_provider": last}
        return {**super().get_context_data(**kwargs), **offered}


class PasswordResetFromKeyView(views.PasswordResetFromKeyView):  # type: ignore[misc]
    """allauth's page behind the link of a password mail."""

    def form_valid(self, form: Form) -> HttpResponseBase:
        """Set the password; the account is now the proven one of its address."""
        with transaction.atomic():
            response: HttpResponseBase = super().form_valid(form)
            take_address_back(self.reset_user, by=self.reset_user.principal)
        return response


login = checks_itself(LoginView.as_view())
# Whoever is asked for a second factor is not signed in yet, and may go back.
logout = checks_itself(login_not_required(views.logout))
inactive = checks_itself(login_not_required(views.account_inactive))


@checks_itself
def password_change(request: HttpRequest) -> HttpResponseBase:
    """Change the user's own password; the current device stays known."""
    response: HttpResponseBase = views.password_change(request)
    if request.method == "POST" and response.status_code == 302 and isinstance(request.user, User):
        remember_device(request, response, request.user)
    return response


@checks_itself
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
def password_set(request: HttpRequest) -> HttpResponseBase:
    """Set the first password of an account that has a passkey alone; the current device stays known."""
    user = request.user
    if isinstance(user, User) and not user.is_in_use:
        raise Http404  # an organization's provider signs it in
    response: HttpResponseBase = views.password_set(request)
    if request.method == "POST" and response.status_code == 302 and isinstance(request.user, User):
        remember_device(request, response, request.user)
    return response


def _where_mail_is_sent(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Answer 404 if the portal sends no mail."""

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
    """The page for a user without a membership: what that means, and what to do."""
    if ended := ended_memberships(request):
        return render(request, "account/deactivated.html", {"ended": ended})
    return render(request, "account/nowhere.html")


@login_not_required
@checks_itself
def signup(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """Sign up, if it is allowed; otherwise 404."""
    if not settings.ALLOW_SIGNUP:
        raise Http404
    response: HttpResponseBase = views.signup(request, *args, **kwargs)
    return response
