"""A region's country and coordinates: Django admin and the command refuse the same values, beside the field."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests.factories import make_region
from vpn.models import Region

pytestmark = pytest.mark.django_db
WRONG = [
    ({"latitude": "95", "longitude": "1"}, "latitude"),
    ({"latitude": "95", "longitude": "999"}, "longitude"),
    ({"latitude": "1e300", "longitude": "1"}, "latitude"),
    ({"latitude": "nan", "longitude": "1"}, "latitude"),
    ({"latitude": "1", "longitude": "inf"}, "longitude"),
    ({"latitude": "50"}, "longitude"),
    ({"longitude": "8"}, "latitude"),
    ({"country": "de"}, "country"),
    ({"country": "<>"}, "country"),
]


@pytest.mark.parametrize(("given", "field"), WRONG)
def test_django_admin_shows_the_fault_beside_the_field(
    staff_browser: Client, given: dict[str, str], field: str
) -> None:
    make_region()
    before = Region.objects.values().get()
    added = staff_browser.post("/admin/vpn/region/add/", {"id": "fra", "name": "Frankfurt", **given})
    changed = staff_browser.post("/admin/vpn/region/local/change/", {"name": "Here", "available": "on", **given})
    for page in (added, changed):
        assert page.status_code == 200
        assert field in page.context["adminform"].form.errors
    assert Region.objects.values().get() == before


@pytest.mark.parametrize(("given", "field"), WRONG)
def test_the_command_refuses_the_same(given: dict[str, str], field: str) -> None:
    options = [f"--{name}={value}" for name, value in given.items()]
    with pytest.raises(CommandError, match=f"{field}: Enter"):
        call_command("region", "add", "fra", "Frankfurt", *options)
    assert not Region.objects.exists()


def test_what_is_right_is_saved(staff_browser: Client) -> None:
    values = {"name": "Frankfurt", "country": "DE", "latitude": "-90", "longitude": "180"}
    assert staff_browser.post("/admin/vpn/region/add/", {"id": "fra", **values}).status_code == 302
    values |= {"latitude": "50.1", "longitude": "8.7"}
    assert staff_browser.post("/admin/vpn/region/fra/change/", values).status_code == 302
    region = Region.objects.get()
    assert (region.country, region.latitude, region.longitude) == ("DE", 50.1, 8.7)


def test_the_loss_policy_is_set_whatever_the_place(region_of_old: Region) -> None:
    call_command("region", "set", region_of_old.pk, "--lost-after", "90")
    region_of_old.refresh_from_db()
    assert region_of_old.lost_after == 90


@pytest.fixture
def region_of_old() -> Region:
    """A region whose country was saved before it was checked."""
    return Region.objects.create(pk="old", name="Old", country="de", driver="ssh")


def region_set(*options: str) -> Region:
    """The region after `manage.py region set`."""
    call_command("region", "set", "fra", *options)
    return Region.objects.get(pk="fra")


def test_the_command_changes_a_regions_place() -> None:
    call_command("region", "add", "fra", "Frankfurt")
    region = region_set("--name", "Frankfurt am Main", "--country", "DE", "--latitude", "-50.1", "--longitude", "8.7")
    assert (region.name, region.country, region.latitude, region.longitude) == ("Frankfurt am Main", "DE", -50.1, 8.7)
    region = region_set("--latitude", "50.1", "--lost-after", "90")
    assert (region.latitude, region.longitude, region.lost_after) == (50.1, 8.7, 90)
    region = region_set("--latitude", "", "--longitude", "", "--country", "")
    assert (region.name, region.country, region.latitude, region.longitude) == ("Frankfurt am Main", "", None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--latitude", "95", "--longitude", "8"], "latitude: Enter degrees"),
        (["--latitude", "50"], "longitude: Enter both"),
        (["--country", "de", "--lost-after", "90"], "country: Enter the two"),
        (["--name", " "], "name: Enter a name"),
        (["--probe-url", "http://fra1.example.com/"], "Only localhost may have http"),
        (["--latitude", "north"], "latitude"),
        ([], "Say what to change"),
    ],
)
def test_the_command_changes_nothing_that_is_wrong(options: list[str], words: str) -> None:
    call_command("region", "add", "fra", "Frankfurt")
    before = Region.objects.values().get()
    with pytest.raises(CommandError, match=words):
        region_set(*options)
    assert Region.objects.values().get() == before
