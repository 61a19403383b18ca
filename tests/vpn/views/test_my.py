"""My VPN: one's own devices, and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from portal.models import Membership
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
)
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import Protocol
from vpn.models import Instance, Peer, Server, Site


def page_of(browser: Client) -> str:
    return browser.get("/my/").content.decode()


def test_whoever_has_no_device_is_told_whom_to_ask(member_browser: Client, admin: Membership) -> None:
    page = page_of(member_browser)
    assert "No device of yours yet" in page
    assert f"mailto:{admin.user.email}" in page


def test_an_admin_without_a_device_is_led_to_the_instances(admin_browser: Client, admin: Membership) -> None:
    assert "Open instances" in page_of(admin_browser)


def test_only_ones_own_devices_are_there(
    member_browser: Client, client_peer: Peer, instance: Instance, admin: Membership
) -> None:
    theirs = make_client_peer(instance, admin, "secret tablet")
    page = page_of(member_browser)
    assert f"/peers/{client_peer.pk}/profile/" in page
    assert "secret tablet" not in page
    assert str(theirs.pk) not in page


def test_devices_of_every_instance_are_there(member_browser: Client, client_peer: Peer, member: Membership) -> None:
    second = make_instance(member.organization, name="Singapore")
    make_client_peer(second, member, "phone")
    page = page_of(member_browser)
    assert "Frankfurt" in page
    assert "Singapore" in page


def answer_of(browser: Client) -> str:
    """What the page says first, as its reader sees it."""
    found = re.search(r'<div class="my__answer".*?</div>', page_of(browser), re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def connect(*peers: Peer, outdated: bool = False) -> None:
    """As if these peers had fetched their profile and had just shaken hands."""
    for peer in peers:
        settle(peer.instance)
        deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)
        now = timezone.now()
        Peer.objects.filter(pk=peer.pk).update(applied_digest="x")
        observe_peers(peer, last_handshake=now, connected_from=now)
        if outdated:
            Peer.objects.filter(pk=peer.pk).update(delivered_digest="of before")


def test_a_split_tunnel_is_connected_and_protects_from_nothing(member_browser: Client, client_peer: Peer) -> None:
    assert answer_of(member_browser) == "laptop is not connected"
    connect(client_peer)
    answer = answer_of(member_browser)
    assert answer.startswith("laptop is connected laptop reaches your company\u2019s networks through Frankfurt.")
    assert "protected" not in answer
    assert "Everything else it does goes past the VPN." in answer


@pytest.mark.parametrize("protocol", Protocol.values)
def test_a_device_with_all_its_traffic_in_the_tunnel_is_protected(
    member_browser: Client, member: Membership, instance: Instance, protocol: str
) -> None:
    connect(create_client_peer(instance, member=member, device="phone", route_all=True, protocol=protocol, by=BY))
    answer = answer_of(member_browser)
    assert answer == "phone is protected phone is protected: all its traffic goes through Frankfurt."


def test_a_hub_that_refuses_a_family_protects_and_says_what_is_missing(
    member_browser: Client, member: Membership, instance: Instance
) -> None:
    connect(create_client_peer(instance, member=member, device="phone", route_all=True, by=BY))
    Server.objects.update(carries_ipv6=False)
    answer = answer_of(member_browser)
    assert answer.startswith("phone is protected")
    assert "nothing bypasses the VPN" in answer


def test_an_outdated_profile_may_be_another_tunnel_so_that_nothing_is_claimed(
    member_browser: Client, member: Membership, instance: Instance
) -> None:
    connect(create_client_peer(instance, member=member, device="phone", route_all=True, by=BY), outdated=True)
    answer = answer_of(member_browser)
    assert "protected" not in answer
    assert "what of its traffic goes through the VPN is not certain" in answer


def test_one_of_several_devices_stands_for_itself_alone(
    member_browser: Client, member: Membership, client_peer: Peer
) -> None:
    phone = create_client_peer(client_peer.instance, member=member, device="phone", route_all=True, by=BY)
    make_client_peer(client_peer.instance, member, "tablet")
    assert answer_of(member_browser) == "None of your 3 devices is connected"
    connect(phone)
    answer = answer_of(member_browser)
    assert answer.startswith("1 of 3 devices connected phone is protected:")
    assert "The others are not connected." in answer
    connect(client_peer)
    answer = answer_of(member_browser)
    assert answer.startswith("2 of 3 devices connected")
    assert "laptop reaches your company\u2019s networks" in answer
    assert "You are" not in page_of(member_browser)


def test_of_a_hub_that_is_silent_nobody_is_said_not_to_be_connected(
    member_browser: Client, member: Membership, client_peer: Peer
) -> None:
    connect(client_peer)
    observe_hubs(observed_at=timezone.now() - timedelta(minutes=3))
    assert answer_of(member_browser) == "Whether laptop is connected is not known"
    second = make_instance(member.organization, name="Singapore")
    connect(make_client_peer(second, member, "phone"))
    assert answer_of(member_browser).endswith("Whether another is connected is not known.")
    observe_hubs(observed_at=timezone.now() - timedelta(minutes=3))
    assert answer_of(member_browser) == "Whether your devices are connected is not known"


def test_a_disabled_device_offers_no_profile(member_browser: Client, client_peer: Peer) -> None:
    Peer.objects.update(enabled=False)
    page = page_of(member_browser)
    assert "An admin can enable it again" in page
    assert "Show profile" not in page


def test_the_polled_part_is_a_part_of_the_page(member_browser: Client, client_peer: Peer) -> None:
    headers = {"HX-Request": "true", "HX-Target": "my_devices"}
    part = member_browser.get("/my/", headers=headers).content.decode()
    assert "laptop" in part
    assert "csrfmiddlewaretoken" in part
    assert "<html" not in part


def test_devices_on_more_instances_take_no_more_queries(
    member_browser: Client,
    client_peer: Peer,
    member: Membership,
    site: Site,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_site_peer(client_peer.instance, site, ["10.9.0.0/24"])
    page_of(member_browser)
    with CaptureQueriesContext(connection) as captured:
        page_of(member_browser)
    before = len(captured)
    for number in range(3):
        other = make_instance(member.organization, name=f"Hub {number}")
        make_site_peer(other, site, ["10.9.0.0/24"])
        make_client_peer(other, member, "phone")
    page_of(member_browser)  # reads their sites, which are then known
    with django_assert_num_queries(before):
        assert "Hub 2" in page_of(member_browser)


def test_it_belongs_to_the_signed_in(db: None) -> None:
    assert Client().get("/my/").status_code == 302
