"""Sites: list, add, edit, remove."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.models import Membership, Organization
from tests.factories import make_instance, make_site, make_site_peer
from vpn.models import Instance, Peer, Site

BERLIN = {"name": "Berlin", "platform": "openwrt", "subnets": "10.1.0.0/24\n10.2.0.0/24"}


def test_the_list_shows_where_each_site_is_connected(
    admin_browser: Client, site_peer: Peer, organization: Organization
) -> None:
    make_site(organization, name="Hamburg", subnets=["10.8.0.0/16"])
    page = admin_browser.get("/sites/").content.decode()
    for words in ("Berlin", "Hamburg", "10.8.0.0/16", site_peer.instance.name, f"/peers/{site_peer.pk}/"):
        assert words in page


def test_the_list_takes_as_many_queries_for_many_sites(
    admin_browser: Client, instance: Instance, organization: Organization, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        make_site_peer(instance, make_site(organization))
    with django_assert_max_num_queries(6):
        admin_browser.get("/sites/")


def test_the_list_has_pages_that_cost_the_same_however_many_sites_there_are(
    admin_browser: Client, organization: Organization, django_assert_max_num_queries: Any
) -> None:
    Site.objects.bulk_create(Site(organization=organization, name=f"Branch {number:03}") for number in range(120))
    with django_assert_max_num_queries(6):
        page = admin_browser.get("/sites/?page=2").content.decode()
    assert ("Branch 049" in page, "Branch 050" in page, "Branch 100" in page) == (False, True, False)
    assert "100 of 120 sites" in page


@pytest.mark.parametrize("words", ["hamb", "HARBOUR", "10.8.0", "harbour hamburg"])
def test_sites_are_found_by_name_place_and_subnet(
    admin_browser: Client, organization: Organization, words: str
) -> None:
    make_site(organization, name="Berlin", subnets=["10.1.0.0/16"])
    hamburg = make_site(organization, name="Hamburg", subnets=["10.8.0.0/16"])
    Site.objects.filter(pk=hamburg.pk).update(place="By the harbour")
    page = admin_browser.get("/sites/", {"q": words}).content.decode()
    assert ("Hamburg" in page, "Berlin" in page) == (True, False)
    rows = admin_browser.get(
        "/sites/", {"q": words}, headers={"HX-Request": "true", "HX-Target": "rows"}
    ).content.decode()
    assert "Hamburg" in rows
    assert "<h1>" not in rows


def test_a_search_without_a_match_leads_back_to_all_sites(admin_browser: Client, site: Site) -> None:
    page = admin_browser.get("/sites/", {"q": "<nowhere>\0"}).content.decode()
    assert "No site has “&lt;nowhere&gt;”" in page
    assert 'href="/sites/">Show all sites' in page
    assert "No sites yet" not in page


def test_other_organizations_sites_are_not_there(
    admin_browser: Client, stranger_browser: Client, site: Site, other_organization: Organization
) -> None:
    make_site(other_organization, name="Foreign")
    assert b"Foreign" not in admin_browser.get("/sites/").content
    for url in (f"/sites/{site.pk}/", f"/sites/{site.pk}/delete/"):
        assert stranger_browser.get(url).status_code == 404
        assert stranger_browser.post(url).status_code == 404


def test_an_empty_list_leads_on(admin_browser: Client, admin: Membership) -> None:
    page = admin_browser.get("/sites/").content
    assert b"No sites yet" in page
    assert b"/sites/new/" in page


def test_a_site_is_added(admin_browser: Client, admin: Membership) -> None:
    values = {**BERLIN, "place": "Berlin, DE", "latitude": "52.5", "longitude": "13.4", "platform_version": "23.05"}
    answer = admin_browser.post("/sites/new/", values)
    site = Site.objects.get()
    assert answer["Location"] == f"/sites/{site.pk}/"
    assert (site.name, site.subnets) == ("Berlin", ["10.1.0.0/24", "10.2.0.0/24"])
    assert (site.place, site.latitude, site.longitude, site.platform_version) == ("Berlin, DE", 52.5, 13.4, "23.05")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": ""}, "required"),
        ({"subnets": "10.1.0.5/24"}, "10.1.0.0/24"),
        ({"platform": "abacus"}, "valid choice"),
        ({"latitude": "91", "longitude": "0"}, "90"),
        ({"latitude": "52"}, "both coordinates"),
        ({"platform_version": "the newest"}, "No version of OpenWrt was understood in this"),
        ({"platform_version": "VyOS 1.4.0"}, "Choose VyOS as what the router runs"),
    ],
)
def test_faults_are_said_and_what_was_typed_is_kept(
    admin_browser: Client, admin: Membership, wrong: dict[str, str], words: str
) -> None:
    answer = admin_browser.post("/sites/new/", {**BERLIN, "place": "Kreuzberg", **wrong})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert 'value="Kreuzberg"' in answer.content.decode()
    assert not Site.objects.exists()


PASTED = [
    ("vyos", "VyOS 1.4.0", "1.4.0"),
    ("vyos", "1.5-rolling-202411190007", "1.5"),
    ("routeros7", "RouterOS 7.16.1 (stable)", "7.16.1"),
    ("opnsense", "OPNsense 24.7.9_1-amd64", "24.7.9"),
    ("openwrt", "OpenWrt 23.05.5 r24106-10cc5e456a", "23.05.5"),
    ("pfsense", "2.7.2-RELEASE", "2.7.2"),
]


@pytest.mark.parametrize(("platform", "pasted", "understood"), PASTED)
def test_a_version_is_taken_as_the_router_shows_it(
    admin_browser: Client, site: Site, platform: str, pasted: str, understood: str
) -> None:
    values = {**BERLIN, "platform": platform, "platform_version": f" {pasted} "}
    assert admin_browser.post(f"/sites/{site.pk}/", values).status_code == 302
    site.refresh_from_db()
    assert site.platform_version == pasted
    page = admin_browser.get(f"/sites/{site.pk}/").content.decode()
    assert f'{understood} <span class="muted">as understood from “{pasted}”' in page
    assert page.count("VyOS VyOS") == 0


def test_a_name_that_is_taken_is_refused(admin_browser: Client, site: Site) -> None:
    assert b"There is a site called Berlin already" in admin_browser.post("/sites/new/", BERLIN).content


def test_a_site_is_edited_and_what_is_emptied_is_emptied(admin_browser: Client, site: Site) -> None:
    url = f"/sites/{site.pk}/"
    admin_browser.post(url, {**BERLIN, "name": "Berlin Mitte", "latitude": "1", "longitude": "2"})
    site.refresh_from_db()
    assert (site.name, site.platform, site.latitude) == ("Berlin Mitte", "openwrt", 1.0)
    admin_browser.post(url, {**BERLIN, "subnets": ""})
    site.refresh_from_db()
    assert (site.name, site.latitude, site.subnets) == ("Berlin", None, [])


def test_a_refused_change_does_not_show_as_saved(admin_browser: Client, site_peer: Peer) -> None:
    page = admin_browser.post(f"/sites/{site_peer.site_id}/", {**BERLIN, "name": "New", "platform": "routeros6"})
    assert b"no WireGuard" in page.content
    assert b"<h1>Berlin</h1>" in page.content


def test_a_site_without_peers_is_deleted(admin_browser: Client, site: Site) -> None:
    assert b"nothing stops working" in admin_browser.get(f"/sites/{site.pk}/delete/").content
    assert admin_browser.post(f"/sites/{site.pk}/delete/")["Location"] == "/sites/"
    assert not Site.objects.exists()


def test_a_connected_site_is_kept_and_its_instances_are_named(
    admin_browser: Client, site_peer: Peer, organization: Organization
) -> None:
    assert site_peer.site is not None
    make_site_peer(make_instance(organization, name="Singapore"), site_peer.site)
    refused = admin_browser.post(f"/sites/{site_peer.site_id}/delete/")
    assert refused.status_code == 409
    assert "Frankfurt, Singapore" in refused.content.decode()
    assert Site.objects.exists()


def test_auditors_read(auditor_browser: Client, site_peer: Peer) -> None:
    for url in ("/sites/", f"/sites/{site_peer.site_id}/"):
        page = auditor_browser.get(url)
        assert page.status_code == 200
        assert b'method="post"' not in page.content.partition(b"<main")[2]
    assert auditor_browser.post(f"/sites/{site_peer.site_id}/", BERLIN).status_code == 403
    assert auditor_browser.get("/sites/new/").status_code == 403


def test_members_do_not(member_browser: Client, site: Site) -> None:
    for url in ("/sites/", "/sites/new/", f"/sites/{site.pk}/", f"/sites/{site.pk}/delete/"):
        assert member_browser.get(url).status_code == 403
