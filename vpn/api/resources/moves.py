"""Moving instances between regions, and building their hubs anew."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router

from vpn.access import get_instance
from vpn.actions.instances.move import cancel_move, move_instance, rebuild_instance
from vpn.api.protocol.answers import one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import invalid
from vpn.api.protocol.idempotency import idempotent
from vpn.api.resources.instances import PATH, show
from vpn.api.schemas.instance import InstanceMove, InstanceOut
from vpn.models import Region

router = Router(tags=["Instances"])


@router.post(
    f"{PATH}/move",
    response=answers({202: InstanceOut}, 400, 403, 404, 409, 413, 415, 422),
    openapi_extra=takes(InstanceMove, "Idempotency-Key"),
    summary="Move to another region",
)
@idempotent
def move(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Make a new hub in another region, switch to it, and let the former server forward. See its operations."""
    member = member_of(request)
    instance = get_instance(member, instance_id, write=True)
    region = Region.objects.filter(pk=read(request, InstanceMove).region).first()
    if region is None:
        raise invalid({"region": ["There is no such region."]})
    return one(show(move_instance(instance, region, by=member.principal)), status=202)


@router.post(
    f"{PATH}/rebuild",
    response=answers({202: InstanceOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Rebuild in the same region",
)
@idempotent
def rebuild(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Build the hub anew on another server of its region; where there is none, on the same one."""
    member = member_of(request)
    instance = get_instance(member, instance_id, write=True)
    return one(show(rebuild_instance(instance, by=member.principal)), status=202)


@router.post(
    f"{PATH}/cancel",
    response=answers({202: InstanceOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Cancel a move",
)
@idempotent
def cancel(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Cancel a move or a rebuild, until the hub has switched."""
    member = member_of(request)
    instance = get_instance(member, instance_id, write=True)
    return one(show(cancel_move(instance, by=member.principal)), status=202)
