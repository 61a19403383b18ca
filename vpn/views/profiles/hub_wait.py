"""A profile waits for the hub to get the peer: a short wait without a thread, then the page tries again."""

from __future__ import annotations

from functools import partial
from typing import Final

from django.http import HttpRequest, HttpResponse

from portal.web.later import answer_again_when, not_yet
from vpn.actions.profiles.profile import is_on_hub
from vpn.actions.profiles.refusals import HubNotReady
from vpn.constants import HUB_WAIT

RETRY_SECONDS: Final = 5


def not_ready(refusal: HubNotReady) -> dict[str, object]:
    """Context of the refusal: whether waiting helps, and when the page tries again."""
    return {"waiting": True, "again_seconds": RETRY_SECONDS if refusal.may_come else None}


def wait_for_hub(request: HttpRequest, refusal: HubNotReady, response: HttpResponse) -> HttpResponse:
    """The refusal, unless the hub gets the peer within HUB_WAIT seconds; then the view runs again."""
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    not_yet(request)
    if refusal.may_come:
        answer_again_when(request, partial(is_on_hub, refusal.peer_id), HUB_WAIT)
    return response
