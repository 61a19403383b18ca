"""A profile behind a share link: no account, only for the first browser, which may return for a while.

The token in the address grants the right to see the profile, so it is kept out of the Referer, caches and logs. The
browser that opens the link is recognised by a cookie with a random secret, of which the link keeps a digest.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import checks_itself
from portal.audit.log import note
from portal.models import Principal
from vpn.actions.profiles.profile import Delivery, Wanted, find_link, open_link
from vpn.actions.profiles.refusals import HubNotReady, LinkNotFound, NotOffered, PassphraseWanted
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.throttling import count_wrong
from vpn.constants import SHARE_WINDOW
from vpn.models import Peer, ProfileLink
from vpn.presenters.profiles.family import asked_family
from vpn.presenters.profiles.page import (
    asked_file,
    prefers_text,
    profile_context,
    systems_context,
    wants_file,
)
from vpn.views.profiles.discreet import discreet
from vpn.views.profiles.hub_wait import not_ready, wait_for_hub
from vpn.views.profiles.importing import import_context

_COOKIE = "opened_link"


# The form has no Referer and no Origin, so it cannot be checked for forgery. The token in its address protects it: an
# attacker who knows the token needs no forged form.
@csrf_exempt
@login_not_required
@discreet
@require_http_methods(["GET", "HEAD", "POST"])
@checks_itself
@sensitive_variables()
def shared_profile(request: HttpRequest, token: str) -> HttpResponse:
    """GET explains the link, so that no preview spends it; POST shows the profile.

    The browser that opened it may come back.
    """
    browser = _secret_of_browser(request)
    link = find_link(token, browser)
    if link is None:
        return _ended(request)
    peer, is_open = link.peer, bool(link.browser_digest)
    if request.method != "POST" and not is_open:
        return render(request, "vpn/profiles/shared_offer.html", _offer_context(request, link))
    browser = browser or secrets.token_urlsafe(32)
    try:
        wanted = Wanted(family=asked_family(request))
        given = request.POST.get("passphrase", "")
        by = Principal.device(peer.pk, peer.label)
        delivery = open_link(token, browser, wanted, by=by, passphrase=given)
        response = _reveal(request, peer, delivery, link.expires_at if is_open else None)
    except (LinkNotFound, NotOffered, Http404):
        return _ended(request)
    except PassphraseWanted as refusal:
        return _wanted(request, link, refusal)
    except HubNotReady as refusal:
        response = _not_yet(request, refusal)
        if link.passphrase_hash:
            _remember(response, browser)  # the next try needs no passphrase
        return response
    note("reveal", request, peer=peer.pk, form="share link", again=is_open)
    if not is_open:
        _remember(response, browser)
    return response


def _offer_context(request: HttpRequest, link: ProfileLink) -> dict[str, object]:
    """Whose link it is and for what; nothing that only the profile's owner should know."""
    peer = link.peer
    return {
        "peer": peer,
        "organization": peer.instance.organization,
        "sender": link.made_by,
        "minutes": SHARE_WINDOW // 60,
        "asks_passphrase": bool(link.passphrase_hash),
        **systems_context(request, peer),
    }


def _wanted(request: HttpRequest, link: ProfileLink, refusal: PassphraseWanted) -> HttpResponse:
    """The page of the link once more, which asks for the passphrase."""
    if prefers_text(request):
        return HttpResponse(
            _("This link asks for a passphrase.\n"), status=403, content_type="text/plain; charset=utf-8"
        )
    context = _offer_context(request, link) | {"is_wrong": refusal.is_wrong}
    return render(request, "vpn/profiles/shared_offer.html", context, status=403)


@sensitive_variables()
def _reveal(request: HttpRequest, peer: Peer, delivery: Delivery, until: datetime | None) -> HttpResponse:
    """The requested file, or the page, which this browser can open again until `until`."""
    if wants_file(request):
        return asked_file(request, peer, delivery)
    context = profile_context(request, peer, delivery) | import_context(peer, by=Principal.device(peer.pk, peer.label))
    if until is not None:
        context["older"] = False  # the profile of an earlier delivery by this link is the same
    until = until or timezone.now() + timedelta(seconds=SHARE_WINDOW)
    context["until"] = min(until, delivery.key_due_at or until)
    return render(request, "vpn/profiles/shared.html", context)


def _secret_of_browser(request: HttpRequest) -> str:
    """The secret that this browser got when it opened a link; "" if it has opened none."""
    try:
        return request.get_signed_cookie(_COOKIE, salt=_COOKIE, max_age=SHARE_WINDOW) or ""
    except (KeyError, BadSignature):
        return ""


@sensitive_variables()
def _remember(response: HttpResponse, browser: str) -> None:
    """Set the cookie by which the browser is recognised.

    SameSite is Lax: the link may be opened again from a mail or a message.
    """
    response.set_signed_cookie(
        _COOKIE,
        browser,
        salt=_COOKIE,
        max_age=SHARE_WINDOW,
        path=reverse("shared_profile", args=["-"]).removesuffix("-/"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _ended(request: HttpRequest) -> HttpResponse:
    """404 with an explanation; 429 for an address that requests unknown links too often."""
    try:
        count_wrong("wrong-share-token", request)
    except Refusal as refusal:
        context = {"heading": _("Too many attempts"), "words": refusal.message}
        response = _said(request, context, status=429)
        response.headers["Retry-After"] = (refusal.headers or {}).get("Retry-After", "60")
        return response
    words = _(
        "A link shows its profile until the time that its sender was told, and then for a while to the browser that "
        "opened it. A newer link to the same profile ends it."
    )
    return _said(request, {"heading": _("This link has ended"), "words": words, "ended": True}, status=404)


def _not_yet(request: HttpRequest, refusal: HubNotReady) -> HttpResponse:
    context = {"heading": _("The profile is not ready yet"), "words": refusal.message, **not_ready(refusal)}
    return wait_for_hub(request, refusal, _said(request, context, status=503))


def _said(request: HttpRequest, context: Mapping[str, object], *, status: int) -> HttpResponse:
    if request.method == "POST" and prefers_text(request):
        words = f"{context['heading']}. {context['words']}\n"
        return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
    return render(request, "vpn/profiles/shared_refused.html", dict(context), status=status)
