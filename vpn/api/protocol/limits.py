"""What a token with limits may call: decided from its method and address, before the call reads anything.

A new call is closed to limited tokens until its address says that it is about one instance, or ORGANIZATION_WIDE names
it.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.http import Http404, HttpRequest

from portal.models import ApiToken, Membership
from portal.models.api_token import Ceiling
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.throttling import READS
from vpn.models import Peer

# The calls that a token limited to instances may make without naming one: a list that the call filters
# (vpn.access.instances_of), and what is the same for everybody.
ORGANIZATION_WIDE: Final = frozenset({("GET", "/instances"), ("GET", "/servers/regions"), ("GET", "/places")})
_BASE: Final = "api/v1/vpn"


def check_site(member: Membership, site_id: UUID) -> None:
    """Raise the refusal of a change of a site's subnets by a token that may not change all hubs that follow it."""
    allowed = member.acting_instances
    if allowed is None:
        return
    if Peer.objects.filter(site=site_id).exclude(instance__in=allowed).exists():
        message = "This site is also connected to instances that this token is not for."
        raise Refusal(403, "token-instances-only", message)


def check_limits(request: HttpRequest, token: ApiToken) -> None:
    """Raise the refusal of a call that is beyond the token's ceiling (403) or instances (403, 404)."""
    if token.ceiling != Ceiling.MANAGE and request.method not in READS:
        raise Refusal(403, "token-reads-only", "This token may only read. Make one that may change things.")
    allowed = token.instances
    if allowed is None:
        return
    match = request.resolver_match
    if match is not None and "instance_id" in match.kwargs:
        if UUID(str(match.kwargs["instance_id"])) not in allowed:
            raise Http404
        return
    route = match.route.removeprefix(_BASE) if match is not None else ""
    if (request.method, route) not in ORGANIZATION_WIDE:
        message = "This token is for some instances only, and this call is about the whole organization."
        raise Refusal(403, "token-instances-only", message)
