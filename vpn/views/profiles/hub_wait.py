"""While the hub lacks a peer: its profile is kept back for a moment, without a thread; then the page asks again."""

from __future__ import annotations

from functools import partial
from typing import Final

from django.http import HttpRequest, HttpResponse

from portal.web.later import answer_again_when, not_yet
from vpn.actions.profiles.profile import HubNotReady, is_on_hub
from vpn.constants import HUB_WAIT

RETRY_SECONDS: Final = 5


def not_ready(refusal: HubNotReady) -> dict[str, object]:
    """What a page of the refusal says: that it waits, and when it tries again by itself, if that is of use."""
    return {"waiting": True, "again_seconds": RETRY_SECONDS if refusal.may_come else None}


def wait_for_hub(request: HttpRequest, refusal: HubNotReady, response: HttpResponse) -> HttpResponse:
    """The refusal, which is sent unless the hub has the peer within HUB_WAIT seconds; then the view runs again."""
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    not_yet(request)
    if refusal.may_come:
        answer_again_when(request, partial(is_on_hub, refusal.peer_id), HUB_WAIT)
    return response
