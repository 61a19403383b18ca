"""A person's page: their devices, what these reach, when they were last seen, and the way to add one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.member import change_member
from portal.models import Membership, Organization
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_member,
    make_site,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
)
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import update_peer
from vpn.models import Instance, Peer


@pytest.fixture
def anna(organization: Organization) -> Membership:
    return make_member(organization, name="Anna")


@pytest.fixture
def laptop(instance: Instance, anna: Membership) -> Peer:
    return make_client_peer(instance, anna, "laptop")


def page_of(browser: Client, person: Membership) -> str:
    """The page's text with its white space made one."""
    return re.sub(r"\s+", " ", browser.get(f"/people/{person.pk}/").content.decode())


def reaches(browser: Client, person: Membership) -> list[str]:
    """What is said of each instance."""
    found = re.search(r'class="reaches">(.*?)</div>', page_of(browser, person))
    assert found
    return [re.sub(r"<[^>]+>", "", one).strip() for one in re.findall(r"<p>(.*?)</p>", found[1])]


def test_each_device_leads_to_its_page_with_its_state(
    admin_browser: Client, anna: Membership, laptop: Peer, organization: Organization
) -> None:
    phone = make_client_peer(make_instance(organization, name="Paris"), anna, "phone")
    update_peer(phone, route_all=True, by=BY)
    settle(laptop.instance)
    now = timezone.now()
    observe_hubs(laptop.instance, observed_at=now)
    observe_peers(laptop, last_handshake=now)
    page = page_of(admin_browser, anna)
    for words in (
        "laptop",
        "phone",
        "Frankfurt",
        "Paris",
        "all traffic",
        "split tunnel",
        "Connected",
        "not fetched yet",
    ):
        assert words in page
    for peer in (laptop, phone):
        assert f'href="/peers/{peer.pk}/"' in page
    assert f'<time datetime="{now.isoformat(timespec="seconds")}"' in page


def test_what_they_reach_follows_the_rules(admin_browser: Client, anna: Membership, laptop: Peer) -> None:
    hub, organization = laptop.instance, laptop.instance.organization
    berlin = make_site(organization, name="Berlin")
    make_site_peer(hub, berlin, ["10.1.0.0/24"])
    make_site_peer(hub, make_site(organization, name="Paris"), ["10.2.0.0/24"])
    assert reaches(admin_browser, anna) == ["On Frankfurt: Anna reaches Berlin and Paris."]
    rule = {"action": "drop", "source": f"user:{anna.pk}", "destination": f"site:{berlin.pk}"}
    update_instance(hub, firewall=[rule], by=BY)
    assert reaches(admin_browser, anna) == ["On Frankfurt: Anna reaches Paris."]
    update_instance(
        hub, firewall=[{**rule, "action": "accept", "protocol": "tcp", "port": "443"}], firewall_policy="deny", by=BY
    )
    assert reaches(admin_browser, anna) == ["On Frankfurt: Anna reaches Berlin on TCP 443."]
    update_instance(hub, firewall=[], by=BY)
    assert reaches(admin_browser, anna) == ["On Frankfurt: Anna reaches no site."]


def test_who_is_shut_out_reaches_nothing(admin_browser: Client, anna: Membership, laptop: Peer) -> None:
    make_site_peer(laptop.instance, make_site(laptop.instance.organization, name="Berlin"), ["10.1.0.0/24"])
    update_peer(laptop, enabled=False, by=BY)
    assert reaches(admin_browser, anna) == ["On Frankfurt: Anna reaches no site."]


def test_a_device_is_added_from_there(admin_browser: Client, anna: Membership, instance: Instance) -> None:
    page = page_of(admin_browser, anna)
    assert "Anna has no device yet" in page
    [link] = re.findall(r'href="(/instances/[^"]+/peers/new-client/\?user_id=[^"]+)"', page)
    form = admin_browser.get(link).content.decode()
    assert re.search(rf'value="{anna.pk}" selected', form)
    make_instance(instance.organization, name="Paris")
    assert "On Paris" in page_of(admin_browser, anna)


def test_nobody_adds_a_device_for_who_is_deactivated(
    admin_browser: Client, anna: Membership, instance: Instance
) -> None:
    change_member(anna, active=False, by=BY)
    assert "new-client" not in page_of(admin_browser, anna)


def test_an_auditor_reads_and_adds_nothing(auditor_browser: Client, anna: Membership, laptop: Peer) -> None:
    page = page_of(auditor_browser, anna)
    assert "laptop" in page
    assert "new-client" not in page


def test_another_organizations_devices_are_not_there(
    admin_browser: Client, anna: Membership, laptop: Peer, other_organization: Organization
) -> None:
    elsewhere = Membership.objects.create(
        organization=other_organization, user=anna.user, role="member", state="active"
    )
    make_client_peer(make_instance(other_organization, name="Foreign"), elsewhere, "secret")
    page = page_of(admin_browser, anna)
    assert "secret" not in page
    assert "Foreign" not in page


def test_others_peers_cost_no_queries(
    admin_browser: Client, anna: Membership, laptop: Peer, django_assert_max_num_queries: Any
) -> None:
    def count() -> int:
        with django_assert_max_num_queries(60) as seen:
            admin_browser.get(f"/people/{anna.pk}/")
        return len(seen)

    before = count()
    other = make_member(laptop.instance.organization)
    for number in range(10):
        make_client_peer(laptop.instance, other, f"device {number}")
    assert count() == before
