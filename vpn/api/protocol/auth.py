"""Bearer tokens: the caller and the organization. The API ignores cookies."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from portal.access import mark_checked
from portal.audit.log import note_sometimes
from portal.database import lock_wait
from portal.models import ApiToken, Membership, MembershipState
from portal.models.api_token import Ceiling
from portal.web.client_address import counted_as, parse_address
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.limits import check_limits
from vpn.api.protocol.throttling import count_call, count_wrong

logger = logging.getLogger(__name__)
USE_NOTED_EVERY = timedelta(minutes=1)
# How long a call waits at most to note its use, in seconds.
_PATIENCE = 0.05
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
        _note_use(request, found)
        _log_use(request, found)
        self.check(request, found)
        found.membership.acting_token = found.principal
        found.membership.acting_instances = found.instances
        return found.membership

    def check(self, request: HttpRequest, token: ApiToken) -> None:
        """Raise the refusal of a call that this token may not make."""
        check_limits(request, token)


class ScimTokenAuth(ApiTokenAuth):
    """A token of an admin that is for SCIM; other API tokens are refused."""

    def check(self, request: HttpRequest, token: ApiToken) -> None:
        """Raise the refusal of another token, or of one whose owner is not an admin any more."""
        if token.ceiling != Ceiling.SCIM:
            raise Refusal(403, "token-not-scim", "This token is not for SCIM. Make one that may provision people.")
        if not token.membership.is_admin:
            raise Refusal(403, "role-too-small", "The owner of this token is not an admin any more.")


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


def _note_use(request: HttpRequest, token: ApiToken) -> None:
    """Write down the use at most once a minute, so that most reads write nothing. A busy database leaves it out."""
    now = timezone.now()
    if token.last_used_at is not None and token.last_used_at >= now - USE_NOTED_EVERY:
        return
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    used = {"last_used_at": now, "last_used_from": str(address) if address else None}
    try:
        with lock_wait(_PATIENCE):
            ApiToken.objects.filter(pk=token.pk).update(**used)
    except DatabaseError as error:
        logger.warning("The use of a token was not noted: %s", type(error).__name__)
