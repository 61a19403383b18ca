"""A profile for a browser: as a page with steps, or as a file. Neither is ever stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from vpn.actions.profiles.profile import Delivery
from vpn.choices import KeyCustody, Protocol
from vpn.models import Peer
from vpn.platforms.capabilities import Capability, capability
from vpn.presenters.instances.public_name import endpoint_sentence
from vpn.presenters.profiles.family import asked_family, family_choice
from vpn.presenters.profiles.routes import routed_networks, routes_sentence
from vpn.profiles import qr
from vpn.profiles.apple import configuration_profiles
from vpn.profiles.apps import PHONES, SYSTEMS, apps_for, systems_from
from vpn.profiles.formats import WG_QUICK, for_wg_quick
from vpn.profiles.known import known_digests
from vpn.profiles.names import filename_of, wg_quick_filename
from vpn.profiles.peer import resolver_of
from vpn.profiles.router import RouterProfile
from vpn.profiles.site_files import router_profile
from vpn.profiles.wireguard import OWN_KEY_PLACE

BINARY = "application/octet-stream"
# Words in a User-Agent header, in the order of search: Android's contains "Linux" too.
_USER_AGENTS = (("Android", "android"), ("iPhone", "ios"), ("iPad", "ios"), ("Windows", "windows"), ("Mac", "macos"))


@dataclass(frozen=True)
class Download:
    """A file that a page offers: `title` is its purpose; a form requests it with `field` and `value`."""

    filename: str
    content: str = field(repr=False)
    content_type: str
    title: str = ""
    field: str = "download"
    value: str = "1"

    @property
    def browser_type(self) -> str:
        """The content type for a browser.

        It keeps the name of a file of unknown type. Android's would rename a text file to `….conf.txt`.
        """
        return BINARY if self.content_type.startswith("text/") else self.content_type


@sensitive_variables()
def profile_context(request: HttpRequest, peer: Peer, delivery: Delivery) -> dict[str, Any]:
    """Context for the page of a profile."""
    router = router_profile(peer, asked_family(request))
    linux_file, sites = _linux_file(request, peer), known_digests(peer.instance).sites
    return {
        "peer": peer,
        "instance": peer.instance,
        "profile": Download(delivery.filename, delivery.content, delivery.content_type),
        "files": _files(router),
        "steps": router.steps if router else (),
        "linux_file": linux_file,
        "apple_files": _apple_files(peer, delivery) if peer.key_custody == KeyCustody.PORTAL else {},
        "router_note": _of_router(peer).note,
        "manual": _of_router(peer).manual,
        # Apps name the tunnel after their file, wg-quick after its own.
        "interface": delivery.filename.rpartition(".")[0],
        "linux_interface": (linux_file or delivery).filename.rpartition(".")[0],
        "former_interface": _former_interface(peer),
        # The state before this delivery.
        "older": peer.delivered_at is not None,
        "qr": _qr(delivery, peer),
        "routes_sentence": routes_sentence(peer, sites),
        "endpoint_sentence": endpoint_sentence(peer, asked_family(request)),
        "routed_networks": routed_networks(peer, sites),
        "family_choice": family_choice(request, peer),
        "resolver": resolver_of(peer.instance),
        "names_domains": [peer.instance.full_hostname, *peer.instance.domains],
        "key_due_at": delivery.key_due_at,
        "own_key": peer.key_custody == KeyCustody.DEVICE,
        **systems_context(request, peer),
    }


@sensitive_variables("delivery")
def own_key_context(request: HttpRequest, peer: Peer, delivery: Delivery) -> dict[str, Any]:
    """Context for a page to which the browser adds the private key that it made: in its files, and as the QR code."""
    title = _("QR code of the profile")
    return {
        "fills_key": True,
        "apple_files": _apple_files(peer, delivery),
        "key_place": OWN_KEY_PLACE,
        "older": "older" in request.POST,
        "qr": format_html('<img class="qr" alt="{}" data-own-key-code>', title),
    }


@sensitive_variables()
def asked_file(request: HttpRequest, peer: Peer, delivery: Delivery) -> HttpResponse:
    """The file that the request asks for: one of the router's by name, else the plain profile.

    Raises Http404.
    """
    name = request.POST.get("file", "")
    if not name:
        return _attachment(request, Download(delivery.filename, delivery.content, delivery.content_type))
    linux = _linux_file(request, peer)
    if linux is not None and linux.value == name:
        return _attachment(request, linux)
    apple = _apple_files(peer, delivery) if peer.key_custody == KeyCustody.PORTAL else {}
    for file in (*apple.values(), *_files(router_profile(peer, asked_family(request)))):
        if name == file.value:
            return _attachment(request, file)
    raise Http404


def wants_file(request: HttpRequest) -> bool:
    """Does the request ask for a file, rather than the page?"""
    return "download" in request.POST or "file" in request.POST or prefers_text(request)


def prefers_text(request: HttpRequest) -> bool:
    """Does a program send the request, rather than a browser?"""
    return request.get_preferred_type(["text/html", "text/plain"]) == "text/plain"


def never_stored(response: HttpResponse) -> HttpResponse:
    """Forbid every cache to store the response, and return it."""
    response.headers["Cache-Control"] = "no-store"
    return response


@sensitive_variables()
def _files(router: RouterProfile | None) -> list[Download]:
    return [
        Download(file.filename, file.content, file.content_type, title=file.title, field="file", value=file.filename)
        for file in (router.files if router else ())
    ]


@sensitive_variables()
def _linux_file(request: HttpRequest, peer: Peer) -> Download | None:
    """The profile that is only for wg-quick, if there is one."""
    file = for_wg_quick(peer, asked_family(request), known_digests(peer.instance).sites)
    if file is None:
        return None
    return Download(file.filename, file.content, file.content_type, file.title, field="file", value=WG_QUICK)


@sensitive_variables()
def _apple_files(peer: Peer, delivery: Delivery) -> dict[str, Download]:
    """The configuration profiles for iPhone, iPad and Mac, by system."""
    found = configuration_profiles(peer, delivery.filename, delivery.content)
    return {
        system: Download(file.filename, file.content, file.content_type, field="file", value=file.format)
        for system, file in found.items()
    }


def _of_router(peer: Peer) -> Capability:
    """What the site's router can do, with its limitations such as IPv4 only, and its manual."""
    if peer.site is None:
        return Capability(peer.protocol, offered=True)
    return capability(peer.site.platform, peer.protocol, peer.site.platform_version)


def _former_interface(peer: Peer) -> str:
    """The name of the tunnel that a device still has over its former protocol; "" if there is none."""
    if not peer.former_protocol or peer.former_protocol == peer.protocol:
        return ""
    is_for_wg_quick = peer.former_protocol == Protocol.WIREGUARD and not (peer.is_site or peer.route_all)
    name = wg_quick_filename(peer) if is_for_wg_quick else filename_of(peer, peer.former_protocol)
    return name.rpartition(".")[0]


@sensitive_variables()
def _attachment(request: HttpRequest, file: Download) -> HttpResponse:
    kind = file.content_type if prefers_text(request) else file.browser_type
    response = HttpResponse(file.content, content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{file.filename}"'
    return never_stored(response)


@sensitive_variables()
def _qr(delivery: Delivery, peer: Peer) -> SafeString | None:
    """The QR code; None for OpenVPN and routers, for a long profile, and without the device's private key."""
    if peer.is_site or peer.is_openvpn or peer.key_custody == KeyCustody.DEVICE:
        return None
    try:
        return qr.image(delivery.content)
    except qr.TooLong:
        return None


def systems_context(request: HttpRequest, peer: Peer) -> dict[str, Any]:
    """The systems and their apps; first the one that the reader chose, or the reader's own."""
    chosen = request.POST.get("system", "")
    system = chosen if chosen in dict(SYSTEMS) else _system(request)
    return {
        "systems": systems_from(system),
        "system": system,
        "apps": apps_for(peer.protocol, system),
        "on_phone": system in PHONES,
    }


def _system(request: HttpRequest) -> str:
    """The system whose steps are shown first: the one in the User-Agent header."""
    browser = request.headers.get("User-Agent", "")
    return next(
        (system for word, system in _USER_AGENTS if word in browser), "linux" if "Linux" in browser else "windows"
    )
