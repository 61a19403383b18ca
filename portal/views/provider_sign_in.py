"""Signing in by an organization's provider: its page, the way there and back, and the confirmation."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from allauth.account.adapter import get_adapter
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import SESSION_KEY, checks_itself, get_admin, home_of, is_by_provider, memberships_of
from portal.actions.provider_identity import (
    Arrival,
    Offer,
    connect_identity,
    identity_of,
    join_by_provider,
    may_join_with,
    note_sign_in,
    offer_of,
)
from portal.actions.sign_in_provider import note_refusal, note_trial
from portal.audit.log import note_sometimes
from portal.exceptions import Conflict
from portal.forms.sign_in_provider import OrganizationNameForm
from portal.models import Membership, Principal, SignInProvider, User
from portal.models.principal import UNKNOWN_CLIENT
from portal.sign_in.oidc import ProviderFault, printable
from portal.sign_in.provider_flow import (
    ARRIVAL_KEY,
    TRIED_KEY,
    NotBegun,
    Returned,
    TooMany,
    begin,
    come_back,
    is_limited,
    keep_arrival,
    kept_arrival,
    purpose_of,
    sign_in,
)
from portal.sign_in.telling import tell_owner
from portal.views.failure import too_often

# The last organization whose provider signed in here; it gives no access.
COOKIE: Final = "sign_in_through"
_MAX_AGE: Final = 180 * 24 * 3600  # seconds
# By Sec-Fetch-Site: the person clicked on a page of the portal, or typed the address.
_FROM_HERE: Final = frozenset({"same-origin", "none"})
_STRANGER: Final = Principal.device(name=UNKNOWN_CLIENT)


@require_safe
@login_not_required
@checks_itself
def sign_in_ways(request: HttpRequest) -> HttpResponse:
    """Ask for the organization. It is not found by a mail address: that would tell who belongs where."""
    form = OrganizationNameForm(request.GET or None)
    if form.is_bound and form.is_valid():
        return redirect("sign_in_organization", slug=form.cleaned_data["organization"].lower())
    return render(request, "account/provider_ways.html", {"form": form})


@require_safe
@login_not_required
@checks_itself
def sign_in_organization(request: HttpRequest, slug: str) -> HttpResponse:
    """The organization's sign-in page; 404 if it has no provider, or is not there."""
    return render(request, "account/provider_page.html", {"provider": _enabled(slug)})


@require_safe
@never_cache
@login_not_required
@checks_itself
def sign_in_begin(request: HttpRequest, slug: str) -> HttpResponse:
    """Go to the provider's page.

    A link of another site leads to the organization's page first. Otherwise any site could sign its visitors in to an
    organization whose provider answers without asking them, in place of their own account.
    """
    provider = _enabled(slug)
    if request.headers.get("Sec-Fetch-Site", "none") not in _FROM_HERE:
        return redirect("sign_in_organization", slug=slug)
    try:
        return redirect(begin(request, provider, purpose="sign in"))
    except ProviderFault as fault:
        return _refused(request, provider, fault)


@require_safe
@never_cache
@login_not_required
@checks_itself
def provider_return(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Back from the provider: sign in whom it is connected with, ask others what they want, or show a trial."""
    provider = get_object_or_404(SignInProvider.objects.select_related("organization"), pk=pk)
    is_trial = purpose_of(request) == "try"
    if not is_trial and not provider.enabled:
        raise Http404
    try:
        returned = come_back(request, provider)
    except ProviderFault as fault:
        if is_trial:
            return _tried(request, provider, {"fault": str(fault)})
        return _refused(request, provider, fault)
    if is_trial:
        return _tried(request, provider, _said(provider, returned))
    response = _arrive(request, provider, returned.arrival)
    response.set_cookie(
        COOKIE, provider.organization.slug, max_age=_MAX_AGE, path="/accounts/", httponly=True, samesite="Lax"
    )
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_not_required
@checks_itself
def provider_confirm(request: HttpRequest) -> HttpResponse:
    """Say what would be connected; connect it, or let the person in, once they confirm."""
    kept = kept_arrival(request)
    if kept is None:
        return render(request, "account/provider_ended.html", status=404)
    provider, arrival = kept
    if _own_member(request, provider) is not None and get_adapter(request).is_reauthentication_required(app="portal"):
        # It is a further way into the account, as a passkey or a token is.
        return redirect(f"{reverse('account_reauthenticate')}?next={reverse('provider_confirm')}")
    refused = ""
    if request.method == "POST":
        if is_limited(request, "provider_confirm"):
            return too_often(request)
        try:
            return _confirmed(request, provider, arrival)
        except Conflict as refusal:
            refused = refusal.message
    return render(
        request, "account/provider_confirm.html", {**_choices(request, provider, arrival), "refused": refused}
    )


def _enabled(slug: str) -> SignInProvider:
    found = SignInProvider.objects.filter(organization__slug=slug, enabled=True).select_related("organization")
    return get_object_or_404(found)


def _arrive(request: HttpRequest, provider: SignInProvider, arrival: Arrival) -> HttpResponse:
    identity = identity_of(provider, arrival)
    if identity is None:
        if is_by_provider(request):
            request.session.flush()
        keep_arrival(request, arrival)
        return redirect("provider_confirm")
    note_sign_in(identity, arrival, by=identity.membership.principal)
    if request.user.pk == identity.membership.user_id and not is_by_provider(request):
        # Signed in by their own means, which open more.
        request.session[SESSION_KEY] = str(provider.organization_id)
        return redirect(home_of(identity.membership))
    return sign_in(request, identity)


def _tried(request: HttpRequest, provider: SignInProvider, said: dict[str, Any]) -> HttpResponse:
    """Show a trial to the admin who began it."""
    member = get_admin(request)
    if member.organization_id != provider.organization_id:
        raise Http404
    if "fault" not in said:
        note_trial(provider, by=member.principal)
    request.session[TRIED_KEY] = said
    return redirect("provider_settings")


def _said(provider: SignInProvider, returned: Returned) -> dict[str, Any]:
    """What a trial shows."""
    arrival = returned.arrival
    address = returned.claims.get("email")
    return {
        "subject": arrival.subject,
        "email": printable(str(address)[:254]) if address else "",
        "is_verified": bool(arrival.email),
        "groups": [printable(name) for name in arrival.groups[:50]],
        "attributes": returned.claims["attributes"][:50] if provider.is_saml else [],
    }


def _refused(request: HttpRequest, provider: SignInProvider, fault: ProviderFault) -> HttpResponse:
    if isinstance(fault, TooMany):
        return too_often(request)
    note_sometimes("provider_refused", request, str(provider.pk), organization=provider.organization_id)
    if not isinstance(fault, NotBegun):
        note_refusal(provider, fault.why, by=_STRANGER)
    return render(request, "account/provider_refused.html", {"provider": provider, "fault": fault}, status=403)


def _own_user(request: HttpRequest) -> User | None:
    """Who is signed in by their own means."""
    return request.user if isinstance(request.user, User) and not is_by_provider(request) else None


def _own_member(request: HttpRequest, provider: SignInProvider) -> Membership | None:
    if _own_user(request) is None:
        return None
    found = (one for one in memberships_of(request) if one.organization_id == provider.organization_id)
    return next(found, None)


def _choices(request: HttpRequest, provider: SignInProvider, arrival: Arrival) -> dict[str, Any]:
    offer, member = offer_of(provider, arrival)
    user = _own_user(request)
    return {
        "provider": provider,
        "arrival": arrival,
        "offer": offer,
        "invited": member if offer == Offer.ACCEPT else None,
        "own_member": _own_member(request, provider),
        "joins_with_own": user is not None and offer == Offer.JOIN and may_join_with(user, arrival),
    }


def _confirmed(request: HttpRequest, provider: SignInProvider, arrival: Arrival) -> HttpResponse:
    """Connect the account that is signed in; else join or accept. Raises Conflict."""
    user, member = _own_user(request), _own_member(request, provider)
    if member is not None:
        identity = connect_identity(member, provider, arrival, by=member.principal)
        tell_owner(request, member.user, "provider_connected")
    elif user is None or may_join_with(user, arrival):
        identity = join_by_provider(provider, arrival, by=_STRANGER if user is None else user.principal, user=user)
    else:
        raise Conflict(_("Sign out first: this account is not a member of the organization."))
    request.session.pop(ARRIVAL_KEY, None)
    if user is None:
        return sign_in(request, identity)
    request.session[SESSION_KEY] = str(provider.organization_id)
    return redirect(home_of(identity.membership))
