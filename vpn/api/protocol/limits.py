"""What an operator, or a token with limits, may call.

It is decided from method and address, before the call reads anything.

A new call is closed to limited tokens until its address says that it is about one instance, or ORGANIZATION_WIDE names
it. It is closed to operators unless its address begins with an instance's peers.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.http import Http404, HttpRequest
from django.urls import ResolverMatch

from portal.models import ApiToken, Membership
from portal.models.api_token import Ceiling
from vpn.access import may_change_subnets
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.throttling import READS

# The calls that a token limited to instances may make without naming one: a list that the call filters
# (vpn.access.instances_of), and what is the same for everybody.
ORGANIZATION_WIDE: Final = frozenset({("GET", "/instances"), ("GET", "/servers/regions"), ("GET", "/places")})
_BASE: Final = "api/v1/vpn"
# All that operators may call, of the instances that they are for.
_PEERS: Final = "/instances/<uuidstr:instance_id>/peers"


def check_site(member: Membership, site_id: UUID) -> None:
    """Raise the refusal of a change of a site's subnets by a token that may not change all hubs that follow it."""
    if not may_change_subnets(member, site_id):
        message = "This site is also connected to instances that this token is not for."
        raise Refusal(403, "token-instances-only", message)


def check_limits(request: HttpRequest, token: ApiToken) -> None:
    """Raise the refusal of a call that is beyond the token's ceiling (403) or instances (403, 404)."""
    if token.ceiling == Ceiling.SCIM:
        raise Refusal(403, "token-scim-only", "This token is for SCIM alone. Make one for the API.")
    if token.ceiling != Ceiling.MANAGE and request.method not in READS:
        raise Refusal(403, "token-reads-only", "This token may only read. Make one that may change things.")
    match = request.resolver_match
    if token.membership.is_operator:
        _check_operator(token.membership, match)
    allowed = token.instances
    if allowed is None:
        return
    if match is not None and "instance_id" in match.kwargs:
        if UUID(str(match.kwargs["instance_id"])) not in allowed:
            raise Http404
        return
    route = match.route.removeprefix(_BASE) if match is not None else ""
    if (request.method, route) not in ORGANIZATION_WIDE:
        message = "This token is for some instances only, and this call is about the whole organization."
        raise Refusal(403, "token-instances-only", message)


def _check_operator(member: Membership, match: ResolverMatch | None) -> None:
    """Raise the refusal of a call that is not about the peers of an instance that the operator is for."""
    route = match.route.removeprefix(_BASE) if match is not None else ""
    if match is None or not (route == _PEERS or route.startswith(f"{_PEERS}/")):
        raise Refusal(403, "operator-peers-only", "Operators manage the peers of their instances, and nothing else.")
    if UUID(str(match.kwargs["instance_id"])) not in member.operated:
        raise Http404
