"""One sign-in at an organization's provider, from leaving to coming back, kept in the session meanwhile."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Any, Final, NamedTuple

from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from allauth.account.stages import LoginStageController
from allauth.core.internal import ratelimit
from allauth.mfa.stages import AuthenticateStage
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from portal.access import SESSION_KEY, home_of
from portal.actions.provider_identity import Arrival
from portal.models import ProviderIdentity, SignInProvider
from portal.sign_in.oidc import ProviderFault, authorization_url, claims_of_code, in_english
from portal.sign_in.saml import request_url, take_answer
from portal.sign_in.signing import IDENTITY
from portal.web.client_address import counted_as

_FLOW_KEY: Final = "provider_flow"
ARRIVAL_KEY: Final = "provider_arrival"
TRIED_KEY: Final = "provider_tried"
# Seconds for which a sign-in there, and then a confirmation here, may take.
_LASTS: Final = 600
_MOST_GROUPS: Final = 1000


class TooMany(ProviderFault):
    """A limit of attempts is reached; nobody was asked, and the journal gets no line."""


class NotBegun(ProviderFault):
    """This browser began no such sign-in. The journal gets no line, because every stranger can send that."""


class Returned(NamedTuple):
    """Why the browser was sent to the provider, and whom it signed in."""

    purpose: str
    arrival: Arrival
    claims: dict[str, Any]


def public_address(name: str, *args: object) -> str:
    """The full address of a page."""
    return f"{settings.PUBLIC_URL}{reverse(name, args=args)}"


def return_address(provider: SignInProvider) -> str:
    """The redirect address that the provider is told. Each provider has its own, so that none answers for another."""
    return public_address("provider_return", provider.pk)


def answer_address(provider: SignInProvider) -> str:
    """The assertion consumer service: where a SAML provider posts its answer."""
    return public_address("provider_answer", provider.pk)


def entity_id(provider: SignInProvider) -> str:
    """The portal's name at a SAML provider: where its metadata is."""
    return public_address("provider_metadata", provider.pk)


def is_limited(request: HttpRequest, action: str, *, organization: object = None) -> bool:
    """Count a request by its network, and by its organization; True if there were too many."""
    keys = [(action, counted_as(request.META.get("REMOTE_ADDR", "")))]
    if organization is not None:
        keys.append(("provider_organization", str(organization)))
    counted = (
        ratelimit.consume(request, app="allauth.account", action=what, key=key, limit_get=True) for what, key in keys
    )
    return not all(counted)


def begin(request: HttpRequest, provider: SignInProvider, *, purpose: str) -> str:
    """Note a sign-in in the session; return the provider's page for it. Raises ProviderFault."""
    if is_limited(request, "provider_begin", organization=provider.organization_id):
        raise TooMany(_("Too many attempts. Wait a few minutes, then try again."))
    flow = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    with in_english():
        if provider.is_saml:
            sent = {name: flow[name] for name in ("state", "nonce")}
            page = request_url(provider, answer_address(provider), entity_id(provider), **sent)
        else:
            page = authorization_url(provider, return_address(provider), **flow, anew=purpose == "try")
    request.session[_FLOW_KEY] = {**flow, "provider": str(provider.pk), "purpose": purpose, "at": time.time()}
    return page


def purpose_of(request: HttpRequest) -> str:
    """Why the browser was sent to a provider; "" if it was not."""
    return str((request.session.get(_FLOW_KEY) or {}).get("purpose", ""))


def come_back(request: HttpRequest, provider: SignInProvider) -> Returned:
    """Check the answer that the browser brings, once, and ask the provider whom it means. Raises ProviderFault."""
    flow: dict[str, Any] = request.session.pop(_FLOW_KEY, None) or {}
    if is_limited(request, "provider_return", organization=provider.organization_id):
        raise TooMany(_("Too many attempts. Wait a few minutes, then try again."))
    state = request.GET.get("state", "")
    is_ours = flow.get("provider") == str(provider.pk) and flow.get("at", 0) > time.time() - _LASTS
    if not is_ours or not hmac.compare_digest(state.encode(), flow["state"].encode()):
        raise NotBegun(_("This answer does not belong to a sign-in that was begun in this browser."))
    with in_english():
        if provider.is_saml:
            claims = take_answer(provider, request.GET.get("answer", ""), nonce=flow["nonce"])
        else:
            claims = _claims_of_query(provider, request.GET, flow)
    return Returned(flow["purpose"], _arrival(provider, claims), claims)


def keep_arrival(request: HttpRequest, arrival: Arrival) -> None:
    """Keep an arrival in the session until the person confirms."""
    request.session[ARRIVAL_KEY] = {"at": time.time(), "said": arrival.document()}


def kept_arrival(request: HttpRequest) -> tuple[SignInProvider, Arrival] | None:
    """The arrival that waits for a confirmation, if its provider is still there as it was."""
    kept = request.session.get(ARRIVAL_KEY)
    if not kept or kept["at"] < time.time() - _LASTS:
        return None
    arrival = Arrival.from_document(kept["said"])
    found = SignInProvider.objects.filter(pk=arrival.provider, issuer=arrival.issuer, enabled=True)
    provider = found.select_related("organization").first()
    return None if provider is None else (provider, arrival)


def sign_in(request: HttpRequest, identity: ProviderIdentity) -> HttpResponse:
    """Make a session that counts for the identity's organization alone, in place of the present one."""
    request.session.flush()
    member = identity.membership
    login = Login(user=member.user, redirect_url=home_of(member), state={IDENTITY: str(identity.pk)})
    if identity.provider.is_second_factor:
        LoginStageController(request, login).set_handled(AuthenticateStage.key)
    response: HttpResponse = perform_login(request, login)
    if request.user.is_authenticated:
        request.session[SESSION_KEY] = str(member.organization_id)
    return response


def _claims_of_query(provider: SignInProvider, query: QueryDict, flow: dict[str, Any]) -> dict[str, Any]:
    if query.get("iss", provider.issuer) != provider.issuer:
        raise ProviderFault(_("Another provider answered."))
    if "error" in query or not query.get("code"):
        raise ProviderFault(_("The provider did not sign you in."))
    return claims_of_code(
        provider, str(query["code"]), return_address(provider), nonce=flow["nonce"], verifier=flow["verifier"]
    )


def _arrival(provider: SignInProvider, claims: dict[str, Any]) -> Arrival:
    email, name = claims.get("email"), claims.get("name")
    # Some providers write the word.
    is_verified = claims.get("email_verified") in {True, "true"} if _is_plain(claims.get("email_verified")) else False
    # In lower case, the Kelvin sign is a "k": another mailbox than the one of its ASCII letters.
    text = email.strip() if isinstance(email, str) and is_verified else ""
    address = text.lower() if text.rpartition("@")[0].isascii() else ""
    return Arrival(
        provider=str(provider.pk),
        issuer=provider.issuer,
        subject=claims["sub"],
        email=address if _is_address(address) else "",
        name=name[:200] if isinstance(name, str) else "",
        groups=_groups("groups" if provider.is_saml else provider.groups_claim, claims),
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | str)


def _is_address(address: str) -> bool:
    from portal.exceptions import InvalidInput
    from portal.validators import clean_email

    try:
        return bool(clean_email(address))
    except InvalidInput:
        return False


def _groups(claim: str, claims: dict[str, Any]) -> list[str]:
    """The names in a claim: by its own name, else by the path that dots in it mean."""
    found: Any = claims.get(claim) if claim else None
    if found is None and claim:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return [name for name in names if isinstance(name, str)][:_MOST_GROUPS]
