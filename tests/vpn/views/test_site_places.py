"""A site's place: a town by its name, one of several of that name, or coordinates."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.test import Client

from portal.models import Membership, Organization
from tests.factories import make_site
from vpn.models import Instance, Peer, Site

BERLIN = {"name": "Berlin", "platform": "openwrt"}
POINT = (52.52, 13.41)


def where(site: Site) -> tuple[str, float | None, float | None]:
    site.refresh_from_db()
    return site.place, site.latitude, site.longitude


def test_a_town_gives_its_coordinates(admin_browser: Client, admin: Membership) -> None:
    assert admin_browser.post("/sites/new/", {**BERLIN, "place": "Berlin, DE"}).status_code == 302
    site = Site.objects.get()
    assert site.place == "Berlin, DE"
    assert (site.latitude, site.longitude) == pytest.approx(POINT, abs=0.02)
    assert "52.52" in admin_browser.get(f"/sites/{site.pk}/").content.decode()


def test_a_name_of_several_towns_offers_them_and_the_chosen_one_is_taken(
    admin_browser: Client, admin: Membership
) -> None:
    given = {**BERLIN, "place": "Springfield"}
    page = admin_browser.post("/sites/new/", given).content.decode()
    assert not Site.objects.exists()
    assert "towns are called Springfield. Choose one below." in page
    offered = re.findall(r'name="place_choice" value="([^"]+)"', page)
    assert "Springfield, Illinois, United States" in offered
    assert admin_browser.post("/sites/new/", {**given, "place_choice": offered[1]}).status_code == 302
    place, latitude, longitude = where(Site.objects.get())
    assert place == offered[1]
    assert latitude is not None
    assert longitude is not None


def test_a_choice_for_another_name_does_not_count(admin_browser: Client, admin: Membership) -> None:
    given = {**BERLIN, "place": "Paris", "place_choice": "Springfield, Illinois, United States"}
    admin_browser.post("/sites/new/", given)
    assert Site.objects.get().latitude == pytest.approx(48.85, abs=0.02)


def test_an_unknown_town_says_beside_the_field_what_to_do(admin_browser: Client, admin: Membership) -> None:
    page = admin_browser.post("/sites/new/", {**BERLIN, "place": "Nowhere Hill"}).content.decode()
    assert "No town called Nowhere Hill is known" in page
    assert "Enter a larger town nearby, or leave this empty and enter the coordinates under “More settings”." in page
    assert re.search(r'name="place"[^>]*aria-invalid="true"', page)
    assert not Site.objects.exists()


def test_without_the_tables_coordinates_are_asked_for(
    admin_browser: Client, admin: Membership, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vpn.geo.places.TABLES", tmp_path)
    page = admin_browser.post("/sites/new/", {**BERLIN, "place": "Berlin"}).content.decode()
    assert "This portal has no table of towns." in page
    given = {**BERLIN, "place": "Berlin", "latitude": "52.5", "longitude": "13.4"}
    assert admin_browser.post("/sites/new/", given).status_code == 302


def test_coordinates_make_any_place_known(admin_browser: Client, admin: Membership) -> None:
    given = {**BERLIN, "place": "Nowhere Hill", "latitude": "60.5", "longitude": "-3.25"}
    assert admin_browser.post("/sites/new/", given).status_code == 302
    assert where(Site.objects.get()) == ("Nowhere Hill", 60.5, -3.25)


def test_a_new_place_takes_the_towns_coordinates_along_but_not_entered_ones(
    admin_browser: Client, admin: Membership
) -> None:
    admin_browser.post("/sites/new/", {**BERLIN, "place": "Berlin"})
    site = Site.objects.get()
    _, latitude, longitude = where(site)
    shown = {"latitude": str(latitude), "longitude": str(longitude)}
    admin_browser.post(f"/sites/{site.pk}/", {**BERLIN, "place": "Paris", **shown})
    assert where(site)[1] == pytest.approx(48.85, abs=0.02)
    own = {"latitude": "48.9", "longitude": "2.5"}
    admin_browser.post(f"/sites/{site.pk}/", {**BERLIN, "place": "Paris", **own})
    admin_browser.post(f"/sites/{site.pk}/", {**BERLIN, "place": "Depot behind Paris", **own})
    assert where(site) == ("Depot behind Paris", 48.9, 2.5)


def test_an_emptied_place_empties_its_coordinates(admin_browser: Client, admin: Membership) -> None:
    admin_browser.post("/sites/new/", {**BERLIN, "place": "Berlin"})
    site = Site.objects.get()
    _, latitude, longitude = where(site)
    admin_browser.post(f"/sites/{site.pk}/", {**BERLIN, "place": "", "latitude": latitude, "longitude": longitude})
    assert where(site) == ("", None, None)


def test_a_note_from_before_is_kept_and_does_not_stop_a_change(
    admin_browser: Client, organization: Organization
) -> None:
    site = make_site(organization, name="Berlin")
    Site.objects.filter(pk=site.pk).update(place="Behind the harbour")
    assert admin_browser.post(f"/sites/{site.pk}/", {**BERLIN, "place": "Behind the harbour"}).status_code == 302
    assert where(site) == ("Behind the harbour", None, None)
    Site.objects.filter(pk=site.pk).update(place="Hamburg")
    admin_browser.post(f"/sites/{site.pk}/", {**BERLIN, "place": "Hamburg"})
    assert where(site)[1] == pytest.approx(53.55, abs=0.02)


def test_an_upgrade_finds_the_places_of_earlier_sites(organization: Organization) -> None:
    texts = {"Hamburg, DE": 53.55, "Springfield": None, "Behind the harbour": None, "": None}
    for number, text in enumerate(texts):
        Site.objects.filter(pk=make_site(organization, name=f"S{number}").pk).update(place=text)
    own = make_site(organization, name="Own")
    Site.objects.filter(pk=own.pk).update(place="Hamburg, DE", latitude=1, longitude=2)
    import_module("vpn.migrations.0045_locate_sites").locate(apps, None)
    found = dict(Site.objects.exclude(pk=own.pk).values_list("place", "latitude"))
    assert found == {text: latitude and pytest.approx(latitude, abs=0.02) for text, latitude in texts.items()}
    assert where(own) == ("Hamburg, DE", 1, 2)


def test_a_site_made_with_its_peer_gets_a_place_too(admin_browser: Client, instance: Instance) -> None:
    path = f"/instances/{instance.pk}/peers/new-site/"
    given = {"site_name": "Depot", "site_place": "Springfield", "protocol": "wireguard", "subnets": "10.7.0.0/24"}
    page = admin_browser.post(path, given).content.decode()
    assert "towns are called Springfield" in page
    assert not Peer.objects.exists()
    offered = re.findall(r'name="place_choice" value="([^"]+)"', page)
    assert admin_browser.post(path, {**given, "place_choice": offered[0]}).status_code == 302
    place, latitude, longitude = where(Site.objects.get())
    assert place == offered[0] == "Springfield, Missouri, United States"
    assert (latitude, longitude) == pytest.approx((37.2, -93.3), abs=0.2)
