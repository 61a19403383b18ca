"""Towns by name."""

from __future__ import annotations

from vpn.api.schemas.base import Out
from vpn.geo.places import Place


class PlaceOut(Out):
    """A town."""

    place: str
    name: str
    area: str
    country: str
    latitude: float
    longitude: float
    people: int


def show_place(place: Place) -> PlaceOut:
    """The representation; `place` is the full name, as a site takes it."""
    latitude, longitude = place.point
    return PlaceOut(
        place=place.label,
        name=place.name,
        area=place.area,
        country=place.country,
        latitude=latitude,
        longitude=longitude,
        people=place.people,
    )
