"""Fetching a profile with a share token: no account, once."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.security import HttpBearer

from portal.access import mark_checked
from vpn.actions.profile import HubNotReady, LinkNotFound, redeem_link
from vpn.api.answers import plain
from vpn.api.documentation import PROFILE_AS_TEXT
from vpn.api.errors import Refusal, not_found
from vpn.api.schemas.base import ErrorOut, Out
from vpn.api.throttling import count_wrong

router = Router(tags=["Profiles"])
RETRY_AFTER = 2


class ProfileOut(Out):
    """A profile as JSON, for programs that want the file's name too. The only answer that holds a private key."""

    filename: str
    content_type: str
    content: str


class ShareTokenAuth(HttpBearer):
    """A share token of one peer. It is looked at where it is spent, in one step."""

    def __call__(self, request: HttpRequest) -> str:
        """The token's text."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            message = "Send the share token: “Authorization: Bearer TOKEN”."
            raise Refusal(401, "token-missing", message, headers={"WWW-Authenticate": 'Bearer realm="profile"'})
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> str:
        """The token itself is the right to spend it."""
        mark_checked(request)
        return token


@router.get(
    "/client",
    auth=ShareTokenAuth(),
    response={200: ProfileOut, **dict.fromkeys((401, 404, 429, 503), ErrorOut)},
    openapi_extra=PROFILE_AS_TEXT,
    summary="Fetch a profile",
)
def fetch_profile(request: HttpRequest) -> HttpResponse:
    """The profile, once: as `text/plain`, or as JSON where `Accept` asks for it. 503 leaves the token unspent."""
    try:
        delivery = redeem_link(request.auth)  # type: ignore[attr-defined]
    except LinkNotFound:
        count_wrong("wrong-share-token", request)
        return not_found()
    except HubNotReady as error:
        raise Refusal(503, error.code, error.message, headers={"Retry-After": str(RETRY_AFTER)}) from None
    if wants_json(request):
        return plain(
            ProfileOut(filename=delivery.filename, content_type=delivery.content_type, content=delivery.content)
        )
    response = HttpResponse(delivery.content, content_type=delivery.content_type)
    response["Content-Disposition"] = f'attachment; filename="{delivery.filename}"'
    return response


def wants_json(request: HttpRequest) -> bool:
    """Does the caller like JSON better than the file? Without preference it is the file."""
    return request.get_preferred_type(["text/plain", "application/json"]) == "application/json"
