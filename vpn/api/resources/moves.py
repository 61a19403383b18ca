"""Moving instances between regions, and building their hubs anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router

from portal.models import Principal
from vpn.access import get_instance
from vpn.actions.instances.move import cancel_move, lock_places, move_instance, rebuild_instance
from vpn.api.protocol.answers import one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read, read_nothing
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import invalid
from vpn.api.protocol.etag import unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.resources.instances import PATH, show
from vpn.api.schemas.instance import InstanceMove, InstanceOut
from vpn.models import Instance, Region

router = Router(tags=["Instances"])


@router.post(
    f"{PATH}/move",
    response=answers({202: InstanceOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(InstanceMove, "Idempotency-Key", "If-Match"),
    summary="Move to another region",
)
@idempotent
def move(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Make a new hub in another region, switch to it, and let the former server forward. See its operations."""

    def begin(instance: Instance, *, by: Principal) -> Instance:
        region = Region.objects.filter(pk=read(request, InstanceMove).region).first()
        if region is None:
            raise invalid({"region": ["There is no such region."]})
        return move_instance(instance, region, by=by)

    return _begun(request, instance_id, begin)


@router.post(
    f"{PATH}/rebuild",
    response=answers({202: InstanceOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(None, "Idempotency-Key", "If-Match"),
    summary="Rebuild in the same region",
)
@idempotent
def rebuild(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Build the hub anew on another server of its region; where there is none, on the same one."""
    return _begun(request, instance_id, _without_body(request, rebuild_instance))


@router.post(
    f"{PATH}/cancel",
    response=answers({202: InstanceOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(None, "Idempotency-Key", "If-Match"),
    summary="Cancel a move",
)
@idempotent
def cancel(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Cancel a move or a rebuild, until the hub has switched."""
    return _begun(request, instance_id, _without_body(request, cancel_move))


def _begun(request: HttpRequest, instance_id: UUID, begin: Callable[..., Instance]) -> HttpResponse:
    """Answer 202 once `begin` has changed the instance, unless the caller's If-Match is stale."""
    member = member_of(request)
    fetch = partial(get_instance, member, instance_id, write=True)
    with unless_changed(request, fetch, show, lock_before=lock_places) as instance:
        return one(show(begin(instance, by=member.principal)), status=202)


def _without_body(request: HttpRequest, act: Callable[..., Instance]) -> Callable[..., Instance]:
    """Return `act`, which first refuses a body with fields: rights are checked before it is read."""

    def begin(instance: Instance, *, by: Principal) -> Instance:
        read_nothing(request)
        return act(instance, by=by)

    return begin
