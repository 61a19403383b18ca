"""Bearer tokens: the caller and the organization. The API ignores cookies."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from portal.access import mark_checked
from portal.audit.log import note_sometimes
from portal.models import ApiToken, Membership, MembershipState
from portal.web.client_address import counted_as
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.throttling import count_call, count_wrong

USE_NOTED_EVERY = timedelta(minutes=1)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="vpn"'}
_CHALLENGE_WRONG = {"WWW-Authenticate": 'Bearer realm="vpn", error="invalid_token"'}


class ApiTokenAuth(HttpBearer):
    """A token of `manage.py api_token` or `POST /tokens`: it acts as one member of one organization."""

    def __call__(self, request: HttpRequest) -> Membership:
        """The member, or a refusal with 401; calls are counted here."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            message = "Send an API token: “Authorization: Bearer TOKEN”."
            raise Refusal(401, "token-missing", message, headers=_CHALLENGE)
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Membership:
        """The member that this token acts as."""
        found = _find(token)
        if found is None:
            network = counted_as(request.META.get("REMOTE_ADDR", ""))
            note_sometimes("token_refused", request, network)
            count_wrong("wrong-token", request)
            message = "This token is unknown or was revoked, or its member is not active any more."
            raise Refusal(401, "token-invalid", message, headers=_CHALLENGE_WRONG)
        if found.is_expired:
            message = f"This token expired on {found.expires_at:%-d %B %Y at %H:%M} UTC. Make a new one."
            raise Refusal(401, "token-expired", message, headers=_CHALLENGE_WRONG)
        mark_checked(request)
        request._api_token = found  # type: ignore[attr-defined]  # noqa: SLF001
        count_call(request, found)
        _note_use(found)
        _log_use(request, found)
        found.membership.acting_token = found.principal
        return found.membership


def member_of(request: HttpRequest) -> Membership:
    """The calling member."""
    member: Membership = request.auth  # type: ignore[attr-defined]
    return member


def token_of(request: HttpRequest) -> ApiToken:
    """The token of the call."""
    token: ApiToken = request._api_token  # type: ignore[attr-defined]  # noqa: SLF001
    return token


def _find(token: str) -> ApiToken | None:
    active = Q(membership__state=MembershipState.ACTIVE, membership__user__is_active=True)
    tokens = ApiToken.objects.select_related("membership__user", "membership__organization")
    return tokens.filter(active, digest=ApiToken.digest_of(token)).first()


def _log_use(request: HttpRequest, token: ApiToken) -> None:
    """Log the use of a token once a minute per address; each change is logged separately."""
    network = counted_as(request.META.get("REMOTE_ADDR", ""))
    note_sometimes("token_use", request, f"{token.pk}:{network}", who=token.membership, method=request.method)
    request._audited = False  # type: ignore[attr-defined]  # noqa: SLF001 - the act itself is noted as well


def _note_use(token: ApiToken) -> None:
    # Written at most once a minute: that shows which tokens are in use, and most reads then write nothing.
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
