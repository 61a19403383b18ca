"""Where hubs can run."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from vpn.api.protocol.answers import many
from vpn.api.protocol.documentation import answers
from vpn.api.protocol.paging import Page, slice_of
from vpn.api.schemas.server import RegionOut, show_region
from vpn.models import Region

router = Router(tags=["Servers"])


@router.get("/servers/regions", response=answers({200: list[RegionOut]}, 422), summary="List regions")
def list_regions(request: HttpRequest, page: Query[Page]) -> HttpResponse:
    """Every region of this portal, by name; `available` says whether a new instance can go there."""
    regions, link = slice_of(request, list(Region.objects.with_room().order_by("name", "id")), page)
    return many(RegionOut, [show_region(region) for region in regions], link)
