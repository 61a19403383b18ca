"""Towns that a site may be in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from vpn.api.protocol.answers import many
from vpn.api.protocol.documentation import answers
from vpn.api.protocol.paging import Page, slice_of
from vpn.api.schemas.place import PlaceOut, show_place
from vpn.geo.places import find_places

router = Router(tags=["Sites"])


@router.get("/places", response=answers({200: list[PlaceOut]}, 422), summary="Find towns by name")
def list_places(request: HttpRequest, page: Query[Page], q: str = "") -> HttpResponse:
    """Towns with more than 15,000 people, largest first; `q` is a name, and may add an area and a country."""
    places, link = slice_of(request, find_places(q), page)
    return many(PlaceOut, [show_place(place) for place in places], link)
