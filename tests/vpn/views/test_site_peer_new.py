"""Connecting sites: subnets, their confirmation, and what the router of a site can do."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import make_site, make_site_peer
from tests.vpn.views.peer_forms import error_of, site_url
from vpn.choices import Platform
from vpn.models import Instance, Peer, Site


def test_subnets_are_separated_by_commas_or_spaces(admin_browser: Client, instance: Instance, site: Site) -> None:
    values = {"site_id": str(site.pk), "subnets": "10.1.0.0/24, 10.2.0.0/24 10.3.0.0 /24;fd10:1::/64\r\n10.4.0.0/24"}
    assert admin_browser.post(site_url(instance), values).status_code == 302
    wanted = ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "fd10:1::/64", "10.4.0.0/24"]
    assert Peer.objects.get().subnets == wanted


def test_a_site_made_in_place_comes_with_its_peer(admin_browser: Client, instance: Instance) -> None:
    values = {"site_name": "Berlin", "site_platform": "openwrt", "subnets": "10.1.0.0/24\n\n 10.2.0.0/24 "}
    answer = admin_browser.post(site_url(instance), values)
    peer = Peer.objects.get()
    assert answer["Location"] == f"/peers/{peer.pk}/"
    assert peer.subnets == ["10.1.0.0/24", "10.2.0.0/24"]
    assert peer.site is not None
    assert (peer.site.name, peer.site.platform, peer.site.subnets) == ("Berlin", "openwrt", peer.subnets)


def test_a_site_that_is_there_is_chosen_and_lends_its_subnets(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    site = make_site(organization, name="Berlin", subnets=["10.1.0.0/24"])
    admin_browser.post(site_url(instance), {"site_id": str(site.pk), "subnets": ""})
    assert Peer.objects.get(site=site).subnets == ["10.1.0.0/24"]


def test_choosing_a_site_fills_in_its_subnets(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    site = make_site(organization, name="Berlin", subnets=["10.1.0.0/24"])
    headers = {"HX-Request": "true", "HX-Target": "site_subnets"}
    part = admin_browser.get(site_url(instance), {"site_id": str(site.pk)}, headers=headers).content
    assert b"10.1.0.0/24</textarea>" in part
    assert b"<html" not in part


def test_a_site_that_has_a_peer_here_is_not_offered(admin_browser: Client, instance: Instance, site_peer: Peer) -> None:
    assert f'value="{site_peer.site_id}"' not in admin_browser.get(site_url(instance)).content.decode()


def test_neither_a_site_nor_a_name_is_refused(admin_browser: Client, instance: Instance) -> None:
    page = admin_browser.post(site_url(instance), {"subnets": "10.1.0.0/24"}).content
    assert error_of(page, "site_name") == "Name the new site."


def test_a_refused_peer_leaves_no_site_behind(admin_browser: Client, instance: Instance, site_peer: Peer) -> None:
    values = {"site_name": "Hamburg", "site_platform": "linux", "subnets": "10.1.0.0/25"}
    page = admin_browser.post(site_url(instance), values).content
    assert "Berlin" in error_of(page, "subnets")
    assert not Site.objects.filter(name="Hamburg").exists()


def test_a_sites_name_that_is_taken_is_refused_beside_the_name(
    admin_browser: Client, instance: Instance, site: Site
) -> None:
    values = {"site_name": site.name, "site_platform": "linux", "subnets": "10.1.0.0/24"}
    page = admin_browser.post(site_url(instance), values).content
    assert "already" in error_of(page, "site_name")


def test_every_faulty_line_is_named_at_once(admin_browser: Client, instance: Instance) -> None:
    values = {"site_name": "Berlin", "site_platform": "linux", "subnets": "10.1.0.1/24\nnonsense"}
    words = error_of(admin_browser.post(site_url(instance), values).content, "subnets")
    assert "10.1.0.0/24" in words
    assert "nonsense" in words


def test_broad_routes_need_a_box_that_appears_only_then(admin_browser: Client, instance: Instance) -> None:
    assert b"confirm_broad_routes" not in admin_browser.get(site_url(instance)).content
    values = {"site_name": "Berlin", "site_platform": "linux", "subnets": "0.0.0.0/0"}
    page = admin_browser.post(site_url(instance), values).content
    assert "default route" in error_of(page, "subnets")
    assert b'type="checkbox" name="confirm_broad_routes" value="true"' in page
    admin_browser.post(site_url(instance), {**values, "confirm_broad_routes": "true"})
    peer = Peer.objects.get()
    assert (peer.subnets, peer.confirm_broad_routes) == (["0.0.0.0/0"], True)
    assert peer.site is not None
    assert peer.site.subnets == []


def test_a_network_within_another_sites_needs_the_same_box(
    admin_browser: Client, organization: Organization, instance: Instance
) -> None:
    make_site_peer(instance, make_site(organization, name="Main office"), ["10.0.0.0/8"])
    values = {"site_name": "Branch", "site_platform": "linux", "subnets": "10.7.0.0/16"}
    page = admin_browser.post(site_url(instance), values).content
    assert "lies within 10.0.0.0/8 of the site Main office" in error_of(page, "subnets")
    assert b'type="checkbox" name="confirm_broad_routes" value="true"' in page
    confirmed = {**values, "confirm_broad_routes": "true"}
    plan = admin_browser.post(site_url(instance), {**confirmed, "preview": "true"}).content.decode()
    assert "10.7.0.0/16 goes to Branch; the rest of 10.0.0.0/8 to Main office" in plan
    admin_browser.post(site_url(instance), confirmed)
    assert Peer.objects.get(site__name="Branch").subnets == ["10.7.0.0/16"]


def test_public_ranges_are_taken_with_a_warning(admin_browser: Client, instance: Instance) -> None:
    values = {"site_name": "Berlin", "site_platform": "linux", "subnets": "8.8.8.0/24"}
    page = admin_browser.post(site_url(instance), values, follow=True).content.decode()
    assert "8.8.8.0/24 is a public range" in page


def test_routeros_6_is_refused_with_the_reason_beside_the_field(
    admin_browser: Client, instance: Instance, site: Site
) -> None:
    values = {"site_name": "Plant", "site_platform": Platform.ROUTEROS6, "subnets": "10.1.0.0/24"}
    assert "no WireGuard" in error_of(admin_browser.post(site_url(instance), values).content, "protocol")
    assert not Site.objects.filter(name="Plant").exists()
    Site.objects.filter(pk=site.pk).update(platform=Platform.ROUTEROS6)
    page = admin_browser.post(site_url(instance), {"site_id": str(site.pk), "subnets": "10.1.0.0/24"}).content
    assert "no WireGuard" in error_of(page, "protocol")
    admin_browser.post(site_url(instance), {**values, "protocol": "openvpn"})
    assert Peer.objects.get().protocol == "openvpn"


def test_the_version_decides_what_a_router_can_do(admin_browser: Client, instance: Instance) -> None:
    values = {"site_name": "Plant", "site_platform": "routeros7", "subnets": "10.1.0.0/24", "protocol": "openvpn"}
    old = admin_browser.post(site_url(instance), {**values, "site_platform_version": "7.8"}).content
    assert "7.12" in error_of(old, "protocol")
    other = admin_browser.post(site_url(instance), {**values, "site_platform_version": "6.49"}).content
    assert "RouterOS 6" in error_of(other, "site_platform_version")
    admin_browser.post(site_url(instance), {**values, "site_platform_version": "7.16"})
    assert Site.objects.get().platform_version == "7.16"


def test_choosing_a_router_says_at_once_what_it_cannot_do(admin_browser: Client, instance: Instance) -> None:
    headers = {"HX-Request": "true", "HX-Target": "site_protocol"}
    asked = {"site_id": "", "site_platform": "routeros6", "protocol": "wireguard"}
    part = admin_browser.get(site_url(instance), asked, headers=headers).content.decode()
    assert "no WireGuard" in part
    assert re.search(r'value="wireguard"[^>]* disabled', part)
    assert re.search(r'value="openvpn"[^>]* checked', part)
    assert "<textarea" not in part


def answer(browser: Client, instance: Instance, target: str, fields: dict[str, str]) -> str:
    """The part of the form that is asked for while it is filled in."""
    headers = {"HX-Request": "true", "HX-Target": target}
    answered = browser.post(site_url(instance), {"ask": "router", **fields}, headers=headers)
    assert answered.status_code == 200
    return answered.content.decode()


def fields_of(part: str) -> dict[str, str]:
    """What a browser would send of the protocol's part."""
    found = {"protocol": re.findall(r'value="(\w+)"[^>]* checked', part)[0]}
    before = re.search(r'name="protocol_before" value="(\w+)"', part)
    return found | ({"protocol_before": before[1]} if before else {})


@pytest.mark.parametrize("wanted", ["wireguard", "openvpn"])
def test_a_protocol_that_the_form_chose_for_one_router_is_undone_for_the_next(
    admin_browser: Client, instance: Instance, wanted: str
) -> None:
    sent = {"protocol": wanted}
    shown = []
    for platform in ("routeros7", "routeros6", "openwrt", "linux"):
        sent = fields_of(answer(admin_browser, instance, "site_protocol", {**sent, "site_platform": platform}))
        shown.append(sent["protocol"])
    assert shown == [wanted, "openvpn", wanted, wanted]
    assert "protocol_before" not in sent


def test_passing_a_site_that_cannot_carry_the_protocol_leaves_the_choice(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    old, new = make_site(organization, name="Old"), make_site(organization, name="New")
    Site.objects.filter(pk=old.pk).update(platform=Platform.ROUTEROS6)
    sent = fields_of(answer(admin_browser, instance, "site_subnets", {"protocol": "wireguard", "site_id": str(old.pk)}))
    assert sent == {"protocol": "openvpn", "protocol_before": "wireguard"}
    sent = fields_of(answer(admin_browser, instance, "site_subnets", {**sent, "site_id": str(new.pk)}))
    assert sent == {"protocol": "wireguard"}


def test_a_refused_form_still_knows_what_was_wanted(admin_browser: Client, instance: Instance) -> None:
    values = {"site_name": "", "site_platform": "routeros6", "protocol": "openvpn", "protocol_before": "wireguard"}
    page = admin_browser.post(site_url(instance), values).content.decode()
    assert fields_of(page[page.index('id="site_protocol"') :]) == {
        "protocol": "openvpn",
        "protocol_before": "wireguard",
    }


def test_subnets_that_were_typed_stay_when_sites_are_passed_by(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    berlin = make_site(organization, name="Berlin", subnets=["10.1.0.0/24"])
    paris = make_site(organization, name="Paris", subnets=["10.2.0.0/24"])

    def shown(site_id: object, subnets: str) -> str:
        part = answer(admin_browser, instance, "site_subnets", {"site_id": str(site_id), "subnets": subnets})
        return str(re.findall(r"<textarea[^>]*>\s*(.*?)</textarea>", part, re.DOTALL)[0])

    assert shown(berlin.pk, "") == "10.1.0.0/24"
    assert shown(paris.pk, "10.1.0.0/24") == "10.2.0.0/24"
    assert shown("", "10.2.0.0/24") == ""
    assert shown(berlin.pk, "10.9.0.0/24") == "10.9.0.0/24"
    assert not Peer.objects.exists()


def test_choosing_a_site_says_what_its_router_cannot_do(admin_browser: Client, instance: Instance, site: Site) -> None:
    Site.objects.filter(pk=site.pk).update(platform=Platform.ROUTEROS6)
    headers = {"HX-Request": "true", "HX-Target": "site_subnets"}
    part = admin_browser.get(site_url(instance), {"site_id": str(site.pk)}, headers=headers).content.decode()
    assert 'id="site_protocol" hx-swap-oob="innerHTML"' in part
    assert "no WireGuard" in part


def test_a_site_of_another_organization_is_not_taken(
    admin_browser: Client, instance: Instance, other_organization: Organization
) -> None:
    foreign = make_site(other_organization, subnets=["10.7.0.0/24"])
    page = admin_browser.get(site_url(instance), {"site_id": str(foreign.pk)}).content
    assert b"10.7.0.0/24" not in page
    refused = admin_browser.post(site_url(instance), {"site_id": str(foreign.pk), "subnets": "10.1.0.0/24"})
    assert refused.status_code == 200
    assert not Peer.objects.exists()


def test_a_site_on_another_instance_can_be_connected_here_too(
    admin_browser: Client, instance: Instance, site: Site, organization: Organization
) -> None:
    from tests.factories import make_instance

    make_site_peer(make_instance(organization, name="Second"), site)
    assert f'value="{site.pk}"' in admin_browser.get(site_url(instance)).content.decode()
