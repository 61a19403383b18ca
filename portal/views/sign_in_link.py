"""Pages behind a one-time link, for the person who got it.

The URL with the token only moves the token into the session, so that no later request contains it in a Referer header.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps

from allauth.account.internal.flows.login import record_authentication
from allauth.account.models import Login
from allauth.account.utils import perform_login
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.flows import auto_generate_recovery_codes
from allauth.mfa.signals import authenticator_added
from allauth.mfa.webauthn.internal import auth
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import SESSION_KEY, checks_itself, home_of
from portal.actions.decline import decline_by_link
from portal.actions.sign_in_link import SignInLink, find_link, join_by_link, join_with_passkey, set_password_by_link
from portal.audit.log import note
from portal.exceptions import NotPossible
from portal.forms.password import NewPasswordForm
from portal.forms.refusal import show_refusal
from portal.models import Membership, User
from portal.sign_in.passkeys import JoinPasskeyForm
from portal.sign_in.telling import tell_owner

TOKEN_KEY = "sign_in_link"  # noqa: S105 - the name of a session key


def _discreet(view: Callable[[HttpRequest, str], HttpResponse]) -> Callable[[HttpRequest, str], HttpResponse]:
    """Keep the token out of Django's log, which contains the path of refused and failed requests."""

    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        request.path = request.path_info = request.path.replace(token, "-")
        return view(request, token)

    return wrapped


# CSRF-exempt, because a CSRF failure would log the path with the token. The view refuses POST anyway.
@csrf_exempt
@login_not_required
@_discreet
@require_safe
@never_cache
@checks_itself
def account_link(request: HttpRequest, token: str) -> HttpResponse:
    """Move the token from the URL into the session."""
    if find_link(token) is None:
        return _ended(request)
    request.session[TOKEN_KEY] = token
    return redirect("account_link_use")


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@never_cache
@login_not_required
@checks_itself
def account_link_use(request: HttpRequest) -> HttpResponse:
    """Set the password, or join with the signed-in account if it may."""
    token = request.session.get(TOKEN_KEY, "")
    link = find_link(token)
    if link is None:
        request.session.pop(TOKEN_KEY, None)
        return _ended(request)
    if request.method == "POST" and "decline" in request.POST and link.is_invitation:
        return _decline(request, link, token)
    joins = isinstance(request.user, User) and link.may_join(request.user)
    return _join(request, link, token) if joins or not link.sets_password else _set_password(request, link, token)


def _decline(request: HttpRequest, link: SignInLink, token: str) -> HttpResponse:
    request.session.pop(TOKEN_KEY, None)
    if not decline_by_link(token, by=link.membership.principal):
        return _ended(request)
    note("invitation_declined", request, who=link.membership)
    return render(request, "portal/link_declined.html", {"organization": link.membership.organization})


def _set_password(request: HttpRequest, link: SignInLink, token: str) -> HttpResponse:
    with_passkey = link.is_invitation and "credential" in request.POST and "password1" not in request.POST
    passkey = JoinPasskeyForm(request.POST if with_passkey else None, user=link.membership.user)
    if with_passkey:
        if passkey.is_valid() and (answer := _add_passkey(request, passkey, token, link.membership)) is not None:
            return answer
        return _offer(request, link, NewPasswordForm(link.membership.user), passkey)
    form = NewPasswordForm(link.membership.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            membership = set_password_by_link(token, form.cleaned_data["password1"], by=link.membership.principal)
        except NotPossible as refusal:
            show_refusal(form, refusal)
        else:
            if membership is None:
                return _ended(request)
            note("password_set", request, who=membership, mailed=link.mailed)
            if not link.is_invitation:
                tell_owner(request, membership.user, "password_set")
            return _sign_in(request, membership)
    return _offer(request, link, form, passkey)


def _offer(request: HttpRequest, link: SignInLink, form: NewPasswordForm, passkey: JoinPasskeyForm) -> HttpResponse:
    """The page. It must not reveal whether the address has another account."""
    options = json.dumps(auth.begin_registration(link.membership.user, passwordless=True)) if link.is_invitation else ""
    context = {
        "passkey": passkey,
        "options": options,
        "form": form,
        "membership_offered": link.membership,
        "may_sign_in": link.is_invitation,
        "may_decline": link.is_invitation,
    }
    return render(request, "portal/link_password.html", context)


def _add_passkey(request: HttpRequest, form: JoinPasskeyForm, token: str, offered: Membership) -> HttpResponse | None:
    """Join with the passkey and sign in; None if it was refused, with the reason in the form."""
    added: list[Authenticator] = []

    def add(user: User) -> None:
        made = auth.WebAuthn.add(user, form.cleaned_data["name"], form.cleaned_data["credential"]).instance
        added.append(made)
        authenticator_added.send(sender=Authenticator, request=request, user=user, authenticator=made)

    try:
        membership = join_with_passkey(token, add, by=offered.principal)
    except NotPossible as refusal:
        form.add_error(None, refusal.message)
        return None
    if membership is None:
        return _ended(request)
    request.session.pop(TOKEN_KEY, None)
    note("joined", request, who=membership, passkey=True)
    login = Login(user=membership.user, redirect_url=reverse("mfa_view_recovery_codes"))
    response: HttpResponse = perform_passwordless_login(request, added[0], login)
    if request.user.is_authenticated:
        request.session[SESSION_KEY] = str(membership.organization_id)
        auto_generate_recovery_codes(request)
    return response


def _join(request: HttpRequest, link: SignInLink, token: str) -> HttpResponse:
    if not isinstance(request.user, User):
        return redirect_to_login(request.path)
    theirs = link.may_join(request.user)
    if request.method == "POST" and theirs:
        membership = join_by_link(token, request.user, by=link.membership.principal)
        if membership is None:
            return _ended(request)
        request.session.pop(TOKEN_KEY, None)
        note("joined", request, who=membership, mailed=link.mailed)
        request.session[SESSION_KEY] = str(membership.organization_id)
        messages.success(request, _("You have joined %(organization)s.") % {"organization": membership.organization})
        return redirect(home_of(membership))
    return render(
        request,
        "portal/link_join.html",
        {"membership_offered": link.membership, "theirs": theirs, "may_decline": link.is_invitation},
    )


def _sign_in(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Sign the user in after setting a password, by the same steps as the sign-in page."""
    request.session.pop(TOKEN_KEY, None)
    record_authentication(request, membership.user, method="password_reset")
    response: HttpResponse = perform_login(request, membership.user, redirect_url=home_of(membership))
    if request.user.is_authenticated:
        request.session[SESSION_KEY] = str(membership.organization_id)
    return response


def _ended(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/link_ended.html", status=404)
