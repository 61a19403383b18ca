"""What a site's router calls by itself: the script with which it enrols, and its check-ins."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables
from ninja import Router
from ninja.security import HttpBearer

from portal.access import mark_checked
from portal.audit.log import note
from portal.models import Principal
from vpn.access import get_peer
from vpn.actions.profiles.refusals import HubNotReady
from vpn.actions.sites.check_in import RouterEnded, check_in, find_router
from vpn.actions.sites.router import ENROLMENT_TTL, RouterNotFound, enrol_router, find_enrolment, offer_enrolment
from vpn.api.protocol.answers import one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read
from vpn.api.protocol.documentation import ROUTER_AS_TEXT, answers, takes
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.throttling import count_check_in, count_wrong
from vpn.api.resources.peers import PATH
from vpn.api.schemas.base import ErrorOut
from vpn.api.schemas.router import EnrolmentOut, RouterCheckIn, RouterEnrol
from vpn.models import Peer
from vpn.profiles.router import TEXT
from vpn.routers.script import enrolment_lines, enrolment_script

router = Router(tags=["Routers"])
_RETRY_AFTER = 5


@router.post(
    f"{PATH}/enrolment",
    response=answers({201: EnrolmentOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Offer a router its enrolment",
)
@idempotent
@sensitive_variables("token")
def post_enrolment(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """A token, and the line with which the router of a site's peer enrols. An older token of this peer ends."""
    member = member_of(request)
    peer = get_peer(member, peer_id)
    if peer.instance_id != instance_id:
        raise Http404
    token = offer_enrolment(get_peer(member, peer_id, write=True), by=member.principal)
    seconds = int(ENROLMENT_TTL.total_seconds())
    return one(EnrolmentOut(token=token, token_ttl=seconds, lines=dict(enrolment_lines(token))), status=201)


class RouterTokenAuth(HttpBearer):
    """A token of one router, for enrolling or for check-ins. Each call looks for its own kind."""

    def __call__(self, request: HttpRequest) -> str:
        """The token's text."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            message = "Send the router's token: “Authorization: Bearer TOKEN”."
            raise Refusal(401, "token-missing", message, headers={"WWW-Authenticate": 'Bearer realm="router"'})
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> str:
        """The token itself: the call finds what it is for."""
        mark_checked(request)
        return token


@router.get(
    "/router/script",
    auth=RouterTokenAuth(),
    response={200: str, **dict.fromkeys((401, 429), ErrorOut)},
    openapi_extra=ROUTER_AS_TEXT,
    summary="Fetch the script that enrols a router",
)
@sensitive_variables("token")
def read_script(request: HttpRequest) -> HttpResponse:
    """The script for `sh`, for the holder of an enrolment token, which this does not spend."""
    token = _token(request)
    try:
        find_enrolment(token)
    except RouterNotFound:
        raise _unknown(request, "This enrolment token is unknown, was used, or has expired.") from None
    return _text(enrolment_script(token))


@router.post(
    "/router/enrol",
    auth=RouterTokenAuth(),
    response={200: str, **dict.fromkeys((400, 401, 409, 413, 415, 422, 429, 503), ErrorOut)},
    openapi_extra={**takes(RouterEnrol), **ROUTER_AS_TEXT},
    summary="Enrol a router",
)
@sensitive_variables("token", "enrolled")
def enrol(request: HttpRequest) -> HttpResponse:
    """Spend the enrolment token: the answer is the router's check-in token and its configuration."""
    token = _token(request)
    try:
        peer = find_enrolment(token).peer
        body = read(request, RouterEnrol)
        enrolled = enrol_router(token, body.report(), by=_principal(peer))
    except RouterNotFound:
        raise _unknown(request, "This enrolment token is unknown, was used, or has expired.") from None
    except HubNotReady as error:
        headers = {"Retry-After": str(_RETRY_AFTER)}
        raise Refusal(503, error.code, error.message, headers=headers) from None
    note("router_enrolled", request, peer=enrolled.peer.pk)
    return _text(enrolled.configuration)


@router.post(
    "/router/check-in",
    auth=RouterTokenAuth(),
    response={200: str, 304: None, **dict.fromkeys((400, 401, 410, 413, 415, 422, 429), ErrorOut)},
    openapi_extra={**takes(RouterCheckIn), **ROUTER_AS_TEXT},
    summary="Check in",
)
@sensitive_variables("token", "configuration")
def post_check_in(request: HttpRequest) -> HttpResponse:
    """304 if the router has its configuration, else that. 410 ends the router: it takes its tunnel down."""
    token = _token(request)
    try:
        found = find_router(token)
        count_check_in(found.pk)
        body = read(request, RouterCheckIn)
        configuration = check_in(found, token, body.said(), by=_principal(found.peer))
    except RouterNotFound:
        raise _unknown(request, "This check-in token is unknown.") from None
    except RouterEnded:
        raise Refusal(410, "router-ended", "This router was revoked, or its peer was deleted.") from None
    return _text(configuration) if configuration else HttpResponse(status=HTTPStatus.NOT_MODIFIED)


def _token(request: HttpRequest) -> str:
    token: str = request.auth  # type: ignore[attr-defined]
    return token


def _principal(peer: Peer | None) -> Principal:
    return Principal.router("" if peer is None else peer.pk, "" if peer is None else peer.label)


def _unknown(request: HttpRequest, message: str) -> Refusal:
    """The refusal of an unknown token; raises another one for an address with too many of them."""
    count_wrong("wrong-router-token", request)
    challenge = {"WWW-Authenticate": 'Bearer realm="router", error="invalid_token"'}
    return Refusal(401, "token-invalid", message, headers=challenge)


def _text(content: str) -> HttpResponse:
    return HttpResponse(content, content_type=TEXT)
