"""Fetching a profile with a share token: no account, once."""

from __future__ import annotations

from functools import partial
from typing import Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from ninja.security import HttpBearer
from pydantic import Field

from portal.access import mark_checked
from portal.audit.log import note
from portal.models import Principal
from portal.web.later import answer_again_when, not_yet
from vpn.actions.profiles.profile import Wanted, is_on_hub, redeem_link
from vpn.actions.profiles.refusals import HubNotReady, LinkNotFound, NotOffered, PassphraseWanted
from vpn.api.protocol.answers import plain
from vpn.api.protocol.documentation import PROFILE_AS_TEXT
from vpn.api.protocol.errors import Refusal, invalid, not_found
from vpn.api.protocol.throttling import count_wrong
from vpn.api.schemas.base import ErrorOut, Out
from vpn.constants import HUB_WAIT
from vpn.profiles.router import TEXT

router = Router(tags=["Profiles"])
RETRY_AFTER = 2


class ProfileOut(Out):
    """A profile as JSON, for programs that need the file's name too.

    This is the only answer that contains a private key.
    """

    filename: str
    content_type: str
    content: str


class ClientQuery(Schema):
    """The requested file, and which of the hub's addresses it should contain."""

    format: str = Field(
        "", max_length=40, description="One of the peer's formats; by default what its device or router takes."
    )
    family: Literal["4", "6"] | None = Field(None, description="The endpoint's, where the hub has both.")


class ShareTokenAuth(HttpBearer):
    """A share token of one peer. It is checked when it is spent, in one step."""

    def __call__(self, request: HttpRequest) -> str:
        """The token's text."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            message = "Send the share token: “Authorization: Bearer TOKEN”."
            raise Refusal(401, "token-missing", message, headers={"WWW-Authenticate": 'Bearer realm="profile"'})
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> str:
        """The token itself: it grants the right to spend it."""
        mark_checked(request)
        return token


@router.get(
    "/client",
    auth=ShareTokenAuth(),
    response={200: ProfileOut, **dict.fromkeys((401, 403, 404, 422, 429, 503), ErrorOut)},
    openapi_extra=PROFILE_AS_TEXT,
    summary="Fetch a profile",
)
def fetch_profile(request: HttpRequest, query: Query[ClientQuery]) -> HttpResponse:
    """The profile, once: as `text/plain`, or as JSON if `Accept` prefers it.

    422 and 503 leave the token unspent. 503 is sent after up to five seconds, in which the hub may get the peer.
    """
    wanted = Wanted(query.format, own=True, family=int(query.family) if query.family else None)
    try:
        given, token = request.headers.get("X-Passphrase", ""), request.auth  # type: ignore[attr-defined]
        delivery = redeem_link(token, wanted, by=Principal.device(), passphrase=given)
    except NotOffered as refusal:
        raise invalid({refusal.field: [refusal.message]}) from None
    except PassphraseWanted as refusal:
        code = "passphrase-wrong" if refusal.is_wrong else "passphrase-missing"
        raise Refusal(403, code, "This link has a passphrase: send it in the header X-Passphrase.") from None
    except LinkNotFound:
        count_wrong("wrong-share-token", request)
        return not_found()
    except HubNotReady as error:
        not_yet(request)
        if error.may_come:
            answer_again_when(request, partial(is_on_hub, error.peer_id), HUB_WAIT)
        raise Refusal(503, error.code, error.message, headers={"Retry-After": str(RETRY_AFTER)}) from None
    note("reveal", request, peer=delivery.peer_id, form="share token")
    if wants_json(request):
        return plain(
            ProfileOut(filename=delivery.filename, content_type=delivery.content_type, content=delivery.content)
        )
    response = HttpResponse(delivery.content, content_type=TEXT)
    response["Content-Disposition"] = f'attachment; filename="{delivery.filename}"'
    return response


def wants_json(request: HttpRequest) -> bool:
    """Does the caller prefer JSON? Without a preference the answer is the file."""
    return request.get_preferred_type(["text/plain", "application/json"]) == "application/json"
