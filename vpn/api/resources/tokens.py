"""The caller's own API tokens."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Router

from portal.actions.api_token import create_token, default_end, revoke_token
from portal.models import ApiToken
from portal.models.api_token import Ceiling
from vpn.access import find_token_instances
from vpn.api.protocol.answers import many, nothing, one
from vpn.api.protocol.auth import member_of, token_of
from vpn.api.protocol.bodies import read
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import invalid
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.paging import Page, page_of
from vpn.api.schemas.token import ApiTokenCreate, ApiTokenOut, NewApiTokenOut, show_token

router = Router(tags=["API tokens"])
PATH = "/tokens/{uuid:token_id}"


@router.get("/tokens", response=answers({200: list[ApiTokenOut]}, 422), summary="List API tokens")
def list_tokens(request: HttpRequest, page: Query[Page]) -> HttpResponse:
    """The caller's own tokens in this organization, oldest first; expired ones for 30 days."""
    found, link = page_of(request, ApiToken.objects.filter(membership=member_of(request)), page)
    caller = token_of(request)
    return many(ApiTokenOut, [show_token(token, caller) for token in found], link)


@router.post(
    "/tokens",
    response=answers({201: NewApiTokenOut}, 400, 409, 413, 415, 422),
    openapi_extra=takes(ApiTokenCreate, "Idempotency-Key"),
    summary="Create an API token",
)
@idempotent
def post_api_token(request: HttpRequest) -> HttpResponse:
    """Create a token that acts as the caller; only a token without limits can.

    Its text is in this answer and never shown again.
    """
    caller, body = token_of(request), read(request, ApiTokenCreate)
    if body.ceiling == Ceiling.SCIM:
        raise invalid({"ceiling": ["Make a token for SCIM on the page of tokens."]})
    member = member_of(request)
    made, text = create_token(
        member,
        by=caller.principal,
        name=body.name,
        expires_at=_end(body, caller),
        ceiling=body.ceiling,
        instances=None if body.instances is None else find_token_instances(member, body.instances),
    )
    shown = NewApiTokenOut(**show_token(made, caller).model_dump(), token=text)
    return one(shown, status=201)


@router.delete(PATH, response=answers({204: None}, 404), summary="Revoke an API token")
def remove_api_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Revoke one of the caller's own tokens at once."""
    member = member_of(request)
    revoke_token(get_object_or_404(ApiToken, pk=token_id, membership=member), by=member.principal)
    return nothing()


def _end(body: ApiTokenCreate, caller: ApiToken) -> datetime | None:
    """The expiry of the new token.

    A token cannot create one that outlives it: otherwise a stolen token could be prolonged.
    """
    latest = caller.expires_at
    if "expires_at" not in body.model_fields_set:
        return default_end() if latest is None else min(default_end(), latest)
    if latest is not None and (body.expires_at is None or body.expires_at > latest):
        words = f"{latest:%Y-%m-%dT%H:%M:%SZ}"
        raise invalid({"expires_at": [f"Choose a time no later than {words}, when your own token ends."]})
    return body.expires_at
