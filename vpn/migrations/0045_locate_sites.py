"""Gives sites whose place names one town the coordinates of that town."""

from typing import Any

from django.db import migrations

from vpn.geo.places import clearly_meant, find_places


def locate(apps: Any, schema_editor: Any) -> None:
    """Look each place up once. Sites with coordinates, and places that may be several towns, stay as they are."""
    sites = apps.get_model("vpn", "Site").objects.filter(latitude=None, longitude=None).exclude(place="")
    for text in list(sites.order_by().values_list("place", flat=True).distinct()):
        place = clearly_meant(find_places(text))
        if place is not None:
            latitude, longitude = place.point
            sites.filter(place=text).update(latitude=latitude, longitude=longitude)


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0044_moves'),
    ]

    operations = [
        migrations.RunPython(locate, migrations.RunPython.noop),
    ]
