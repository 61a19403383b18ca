"""A profile behind a share link: no account, shown once.

The token in the address is the right to see the profile, so it goes nowhere else: not into a Referer, a cache, a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import checks_itself
from vpn.actions.profile import HubNotReady, LinkNotFound, peer_of_link, redeem_link
from vpn.api.errors import Refusal
from vpn.api.throttling import count_wrong
from vpn.views.profile_page import asked_file, never_stored, prefers_text, profile_context, wants_file

RETRY_SECONDS = 5
WAIT_SECONDS = 5.0
View = Callable[[HttpRequest, str], HttpResponse]


def _discreet(view: View) -> View:
    """Keep the token out of Django's log, which names the path of what was refused or failed, and out of the browser's
    history of requests: no Referer, no cache, no index."""

    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        request.path = request.path_info = request.path.replace(token, "-")
        response = never_stored(view(request, token))
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return wrapped


# Without a Referer and from no origin a form cannot prove where it comes from; whoever knows the token needs no
# forged form, and whoever does not can do nothing with one.
@csrf_exempt
@login_not_required
@_discreet
@require_http_methods(["GET", "HEAD", "POST"])
@checks_itself
@sensitive_variables()
def shared_profile(request: HttpRequest, token: str) -> HttpResponse:
    """GET says what the link does, so that no preview of it spends it; POST reveals."""
    peer = peer_of_link(token)
    if peer is None:
        return _ended(request)
    if request.method != "POST":
        return render(request, "vpn/shared_offer.html", {"peer": peer})
    try:
        delivery = redeem_link(token, WAIT_SECONDS)
    except LinkNotFound:
        return _ended(request)
    except HubNotReady as refusal:
        return _not_yet(request, refusal)
    if not wants_file(request):
        return render(request, "vpn/shared_profile.html", profile_context(request, peer, delivery))
    try:
        return asked_file(request, peer, delivery)
    except Http404:
        return _ended(request)


def _ended(request: HttpRequest) -> HttpResponse:
    """404 in words; 429 for an address that asks for what is not there too often."""
    try:
        count_wrong("wrong-share-token", request)
    except Refusal as refusal:
        context = {"heading": "Too many attempts", "words": refusal.message}
        response = _said(request, context, status=429)
        response.headers["Retry-After"] = (refusal.headers or {}).get("Retry-After", "60")
        return response
    words = "A link shows its profile once, within an hour, and a newer link to the same profile ends it."
    return _said(request, {"heading": "This link has ended", "words": words, "ended": True}, status=404)


def _not_yet(request: HttpRequest, refusal: HubNotReady) -> HttpResponse:
    context = {"heading": "The profile is not ready yet", "words": refusal.message, "waiting": True}
    response = _said(request, context, status=503)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _said(request: HttpRequest, context: Mapping[str, object], *, status: int) -> HttpResponse:
    if request.method == "POST" and prefers_text(request):
        words = f"{context['heading']}. {context['words']}\n"
        return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
    return render(request, "vpn/shared_refused.html", dict(context), status=status)
