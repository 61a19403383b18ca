"""The forms offer an alias where another site has the same LAN."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import make_site, make_site_peer
from tests.vpn.views.peer_forms import error_of, site_url
from vpn.models import Instance, Peer, Site

LAN = "192.168.88.0/24"


@pytest.fixture
def berlin(organization: Organization, instance: Instance) -> Peer:
    return make_site_peer(instance, make_site(organization, name="Berlin", subnets=[LAN]), [LAN])


def offered(page: bytes) -> str:
    found = re.search(r'<textarea[^>]*name="alias"[^>]*>(.*?)</textarea>', page.decode(), re.DOTALL)
    return found[1].strip() if found else ""


def test_a_new_site_with_a_lan_that_is_there_is_offered_an_alias(
    admin_browser: Client, instance: Instance, berlin: Peer
) -> None:
    values = {"site_name": "Paris", "site_platform": "routeros7", "subnets": LAN}
    assert 'name="alias"' not in admin_browser.get(site_url(instance)).content.decode()
    page = admin_browser.post(site_url(instance), values).content
    assert "Berlin" in error_of(page, "subnets")
    assert offered(page) == f"{LAN}=10.224.0.0/24"
    assert admin_browser.post(site_url(instance), {**values, "alias": offered(page)}).status_code == 302
    peer = Peer.objects.get(site__name="Paris")
    assert peer.subnets == ["10.224.0.0/24"]
    shown = admin_browser.get(f"/peers/{peer.pk}/").content.decode()
    assert "Alias subnets" in shown
    assert LAN in shown


def test_a_known_site_is_offered_one_that_nothing_has(
    admin_browser: Client, instance: Instance, organization: Organization, berlin: Peer
) -> None:
    make_site(organization, name="Rome", subnets=["10.224.0.0/23"])
    paris = make_site(organization, name="Paris", subnets=[LAN])
    values = {"site_id": str(paris.pk), "subnets": LAN}
    page = admin_browser.post(site_url(instance), values).content
    assert offered(page) == f"{LAN}=10.224.2.0/24"
    # An admin may type another.
    answer = admin_browser.post(site_url(instance), {**values, "alias": f"{LAN} = 10.77.0.0/24"})
    assert answer.status_code == 302
    assert Peer.objects.get(site=paris).subnets == Site.objects.get(pk=paris.pk).subnets == ["10.77.0.0/24"]


def test_the_page_of_a_site_offers_one_too(
    admin_browser: Client, instance: Instance, organization: Organization, berlin: Peer
) -> None:
    paris = make_site(organization, name="Paris", subnets=["10.9.0.0/24"])
    make_site_peer(instance, paris, ["10.9.0.0/24"])
    values = {"name": "Paris", "platform": "linux", "subnets": f"10.9.0.0/24 {LAN}"}
    page = admin_browser.post(f"/sites/{paris.pk}/", values).content
    assert offered(page) == f"{LAN}=10.224.0.0/24"
    assert admin_browser.post(f"/sites/{paris.pk}/", {**values, "alias": offered(page)}).status_code == 302
    assert Peer.objects.get(site=paris).subnets == ["10.9.0.0/24", "10.224.0.0/24"]


def test_the_other_site_gets_its_alias_on_its_own_page(admin_browser: Client, berlin: Peer) -> None:
    page = admin_browser.get(f"/sites/{berlin.site_id}/").content
    assert 'name="alias"' in page.decode()
    values = {"name": "Berlin", "platform": "linux", "subnets": LAN, "subnets_shown": LAN}
    answer = admin_browser.post(f"/sites/{berlin.site_id}/", {**values, "alias": f"{LAN}=10.230.0.0/24"})
    assert answer.status_code == 302
    assert Peer.objects.get(pk=berlin.pk).subnets == ["10.230.0.0/24"]


def test_the_page_of_a_peer_leads_to_that_of_its_site(
    admin_browser: Client, instance: Instance, organization: Organization, berlin: Peer
) -> None:
    paris = make_site(organization, name="Paris", subnets=["10.9.0.0/24"])
    peer = make_site_peer(instance, paris, ["10.9.0.0/24"])
    page = admin_browser.post(f"/peers/{peer.pk}/edit/", {"subnets": LAN}).content.decode()
    assert f'add it on the page of <a class="link" href="/sites/{paris.pk}/">' in page


def test_a_fault_in_an_alias_is_said_beside_it(admin_browser: Client, berlin: Peer) -> None:
    values = {"name": "Berlin", "platform": "linux", "subnets": LAN, "alias": f"{LAN}=10.230.0.0/25"}
    page = admin_browser.post(f"/sites/{berlin.site_id}/", values).content
    assert "the same size" in error_of(page, "alias")
