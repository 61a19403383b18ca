"""One tap: OpenVPN Connect imports the profile of the page that is shown, from an address of its own.

The app registers `openvpn://import-profile/`, followed by an HTTPS address of the file (OpenVPN's documentation of
token URLs; version 3.3.6 or newer). A HEAD spends nothing. A GET does, and only the page that was just shown has the
address.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_safe

from portal.access import checks_itself
from portal.audit.log import note
from portal.models import Principal
from vpn.actions.profiles.import_link import find_import, offer_import, redeem_import
from vpn.actions.profiles.refusals import HubNotReady, LinkNotFound
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.throttling import count_wrong
from vpn.constants import IMPORT_TTL
from vpn.models import Peer
from vpn.profiles.openvpn import CONTENT_TYPE
from vpn.views.profiles.discreet import discreet
from vpn.views.profiles.hub_wait import wait_for_hub

_SCHEME: Final = "openvpn://import-profile/"
_TEXT: Final = "text/plain; charset=utf-8"


@sensitive_variables("token")
def import_context(peer: Peer, *, by: Principal) -> dict[str, Any]:
    """What the page of a profile needs for the app's button; nothing if the app cannot import this one.

    The page itself has the profile, and is made by a POST: the address adds no right to it.
    """
    if peer.is_site or not peer.is_openvpn or not settings.PUBLIC_URL.startswith("https://"):
        return {}
    token = offer_import(peer, by=by)
    if token is None:
        return {}
    address = f"{settings.PUBLIC_URL}{reverse('import_profile', args=[token])}"
    return {"import_address": _SCHEME + address, "import_until": timezone.now() + timedelta(seconds=IMPORT_TTL)}


@login_not_required
@discreet
@require_safe
@checks_itself
@sensitive_variables()
def import_profile(request: HttpRequest, token: str) -> HttpResponse:
    """The profile as a file, once, for the app."""
    peer = find_import(token)
    if peer is None:
        return _ended(request)
    if request.method == "HEAD":
        return HttpResponse(content_type=CONTENT_TYPE)
    try:
        delivery = redeem_import(token, by=Principal.device(peer.pk, peer.label))
    except LinkNotFound:
        return _ended(request)
    except HubNotReady as refusal:
        return wait_for_hub(request, refusal, HttpResponse(f"{refusal.message}\n", status=503, content_type=_TEXT))
    note("reveal", request, peer=peer.pk, form="import by the app")
    response = HttpResponse(delivery.content, content_type=delivery.content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{delivery.filename}"'
    return response


def _ended(request: HttpRequest) -> HttpResponse:
    try:
        count_wrong("wrong-share-token", request)
    except Refusal as refusal:
        response = HttpResponse(f"{refusal.message}\n", status=429, content_type=_TEXT)
        response.headers["Retry-After"] = (refusal.headers or {}).get("Retry-After", "60")
        return response
    words = _("This address was used, or its time is over. Show the profile again.")
    return HttpResponse(f"{words}\n", status=404, content_type=_TEXT)
