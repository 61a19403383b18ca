"""Revealing a profile: as a page with a QR code, or as the file itself."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict
from vpn.access import get_peer, may_fetch_profile
from vpn.actions.profile import Delivery, HubNotReady, deliver_profile
from vpn.choices import KeyCustody
from vpn.models import Peer
from vpn.profiles import qr
from vpn.profiles.peer import routes_sentence

RETRY_SECONDS = 5
# How long a request waits for the hub to have a peer that was just added.
WAIT_SECONDS = 5.0
SYSTEMS = (
    ("windows", "Windows"),
    ("macos", "macOS"),
    ("linux", "Linux"),
    ("ios", "iPhone, iPad"),
    ("android", "Android"),
)
# What a browser calls itself, in the order in which to look: Android's says "Linux" too.
_USER_AGENTS = (("Android", "android"), ("iPhone", "ios"), ("iPad", "ios"), ("Windows", "windows"), ("Mac", "macos"))


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("delivery", "context")
def peer_profile(request: HttpRequest, pk: UUID) -> HttpResponse:
    """POST reveals; a GET, as after a reload or from a bookmark, leads to the peer's page."""
    member = get_member(request)
    peer = get_peer(member, pk)
    if request.method != "POST":
        return redirect("peer", pk=pk)
    if not may_fetch_profile(member, peer):
        raise PermissionDenied("Only admins and its owner can fetch this profile.")
    as_file = "download" in request.POST or _prefers_text(request)
    try:
        delivery = deliver_profile(peer, WAIT_SECONDS)
    except Conflict as refusal:
        return _refused(request, peer, refusal, as_file=as_file)
    if as_file:
        return _file(delivery)
    return _never_stored(render(request, "vpn/profile.html", _context(request, peer, delivery)))


def _prefers_text(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "text/plain"]) == "text/plain"


@sensitive_variables()
def _context(request: HttpRequest, peer: Peer, delivery: Delivery) -> dict[str, object]:
    return {
        "peer": peer,
        "instance": peer.instance,
        "delivery": delivery,
        "interface": delivery.filename.removesuffix(".conf"),
        "qr": _qr(delivery, peer),
        "routes_sentence": routes_sentence(peer),
        "own_key": peer.key_custody == KeyCustody.DEVICE,
        "systems": SYSTEMS,
        "system": _system(request),
    }


@sensitive_variables()
def _qr(delivery: Delivery, peer: Peer) -> SafeString | None:
    """The code, or nothing where the profile is too long for one or is not complete without the device's key."""
    if peer.is_site or peer.key_custody == KeyCustody.DEVICE:
        return None
    try:
        return mark_safe(qr.svg(delivery.content))  # noqa: S308 - built from parsed values by an XML library
    except qr.TooLong:
        return None


@sensitive_variables()
def _file(delivery: Delivery) -> HttpResponse:
    response = HttpResponse(delivery.content, content_type=delivery.content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{delivery.filename}"'
    return _never_stored(response)


def _refused(request: HttpRequest, peer: Peer, refusal: Conflict, *, as_file: bool) -> HttpResponse:
    waiting = isinstance(refusal, HubNotReady)
    status = 503 if waiting else 409
    if as_file and _prefers_text(request):
        response = HttpResponse(f"{refusal.message}\n", status=status, content_type="text/plain; charset=utf-8")
    else:
        context = {"peer": peer, "instance": peer.instance, "refusal": refusal.message, "waiting": waiting}
        response = render(request, "vpn/profile_refused.html", context, status=status)
    if waiting:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return _never_stored(response)


def _never_stored(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    return response


def _system(request: HttpRequest) -> str:
    """The system whose steps are shown first: the one that the reader sits at."""
    browser = request.headers.get("User-Agent", "")
    return next(
        (system for word, system in _USER_AGENTS if word in browser), "linux" if "Linux" in browser else "windows"
    )
