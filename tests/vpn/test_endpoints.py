"""Where devices find a hub whose server has IPv4, IPv6 or both, and what it says of its ways out."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.test import Client

from portal.models import Membership, Organization
from tests.factories import BY, make_instance, settle
from tests.vpn.api.caller import Caller, told
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import ProfileState, Protocol
from vpn.models import Instance, Peer, Server
from vpn.observed import record_observations
from vpn.profiles.peer import openvpn_profile_of, profile_of
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import profile_state
from vpn.wire.report import HubReport

V4, V6 = "203.0.113.1", "2001:db8::1"


def at(instance: Instance, address: str | None, address_v6: str | None = None) -> Instance:
    """The instance, on a server with these addresses."""
    Server.objects.update(address=address, address_v6=address_v6)
    return Instance.objects.select_related("server").get(pk=instance.pk)


def again(peer: Peer) -> Peer:
    return Peer.objects.select_related("instance__server", "site").get(pk=peer.pk)


@pytest.mark.parametrize(
    ("address", "address_v6", "addresses"),
    [(V4, None, (V4,)), (V6, None, (V6,)), (V4, V6, (V4, V6)), (V6, V4, (V4, V6)), (None, V6, (V6,)), (None, None, ())],
)
def test_ipv4_comes_first(address: str | None, address_v6: str | None, addresses: tuple[str, ...]) -> None:
    assert Server(address=address, address_v6=address_v6).addresses == addresses


def test_a_wireguard_profile_points_to_ipv4_where_there_is_one(client_peer: Peer, instance: Instance) -> None:
    at(instance, V4, V6)
    assert profile_of(again(client_peer)).endpoint_host == V4
    at(instance, V6)
    assert f"Endpoint = [{V6}]:{instance.wireguard_port}\n" in render_profile(again(client_peer)).content


def test_an_openvpn_profile_names_both_one_after_the_other(instance: Instance, member: Membership) -> None:
    peer = create_client_peer(instance, member=member, protocol=Protocol.OPENVPN, by=BY)
    at(instance, V4, V6)
    port = instance.openvpn_port
    over_v4, over_v6 = ((V4, port, "udp"), (V4, port, "tcp")), ((V6, port, "udp"), (V6, port, "tcp"))
    assert openvpn_profile_of(again(peer)).remotes == over_v4 + over_v6
    at(instance, V6)
    assert openvpn_profile_of(again(peer)).remotes == over_v6


def test_an_address_that_comes_along_outdates_nothing_and_one_that_goes_does(
    instance: Instance, member: Membership
) -> None:
    for protocol in Protocol:
        peer = create_client_peer(instance, member=member, protocol=protocol, device=protocol, by=BY)
        at(instance, V6)
        rendered = render_profile(again(peer))
        Peer.objects.filter(pk=peer.pk).update(delivered_digest=rendered.digest, delivered_host=rendered.host)
        assert profile_state(again(peer)) == ProfileState.CURRENT
        at(instance, V4, V6)
        assert profile_state(again(peer)) == ProfileState.CURRENT
        at(instance, V4)
        assert profile_state(again(peer)) == ProfileState.OUTDATED


def test_the_api_tells_the_first_address_in_brackets_if_need_be(organization: Organization, admin: Membership) -> None:
    instance = settle(make_instance(organization))
    api = Caller.of(admin)
    for addresses, shown in (((V4, V6), V4), ((V6, None), f"[{V6}]")):
        at(instance, *addresses)
        endpoints = told(api.get(f"/instances/{instance.pk}"), 200)["endpoints"]
        assert endpoints["wireguard"] == f"{shown}:{instance.wireguard_port}"


def test_prepare_gives_the_server_what_the_variable_says(db: None, settings: object) -> None:
    for addresses in ((V4, V6), (V6,), (V4,), ()):
        settings.HUB_ADDRESSES = addresses  # type: ignore[attr-defined]
        call_command("prepare")
        # Nothing said leaves what is there.
        assert Server.objects.get().addresses == (addresses or (V4,))


def observe(instance: Instance, families: list[str] | None) -> Server:
    report = HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, families=families)
    record_observations({instance.pk: report})
    return Server.objects.get()


def test_what_the_agent_says_of_the_ways_out_is_noted_and_said(
    instance: Instance, client_peer: Peer, admin_browser: Client
) -> None:
    Peer.objects.update(route_all=True)
    words = {
        ("ipv4", "ipv6"): "",
        ("ipv4",): "no IPv6 to the internet",
        ("ipv6",): "there is no full tunnel for IPv4",
        (): "no way to the internet",
    }
    pages = (
        f"/instances/{instance.pk}/settings/",
        f"/instances/{instance.pk}/peers/new-client/",
        f"/peers/{client_peer.pk}/",
        f"/peers/{client_peer.pk}/edit/",
    )
    for families, said in words.items():
        server = observe(instance, list(families))
        assert (server.carries_ipv4, server.carries_ipv6) == ("ipv4" in families, "ipv6" in families)
        for page in pages:
            text = admin_browser.get(page).content.decode()
            assert [gap for gap in words.values() if gap and gap in text] == [said] * bool(said), page
    assert not observe(instance, None).carries_ipv4, "an answer without a word of it changes nothing"


def test_the_page_of_a_wireguard_profile_has_a_choice_of_family(client_peer: Peer, admin_browser: Client) -> None:
    instance = settle(client_peer.instance)
    Peer.objects.update(applied_digest="x")
    url, over_v6 = f"/peers/{client_peer.pk}/profile/", f"[{V6}]:{instance.wireguard_port}"
    at(instance, V4)
    assert "Use IPv6" not in admin_browser.post(url).content.decode()
    at(instance, V4, V6)
    page = admin_browser.post(url).content.decode()
    assert "Use IPv6" in page
    assert f"Endpoint = {V4}:{instance.wireguard_port}" in page
    page = admin_browser.post(url, {"family": "6"}).content.decode()
    assert "Use IPv4" in page
    assert f"Endpoint = {over_v6}" in page
    # The download of that page asks for the same.
    assert '<input type="hidden" name="family" value="6">' in page
    file = admin_browser.post(url, {"download": "1", "family": "6"}).content.decode()
    assert f"Endpoint = {over_v6}\n" in file
    assert profile_state(again(client_peer)) == ProfileState.CURRENT


@pytest.mark.parametrize(
    ("reader", "family", "hinted"),
    [
        ("2001:db8:9::7", "", 6),
        ("203.0.113.7", "", 0),
        ("203.0.113.7", "6", 4),
        ("2001:db8:9::7", "6", 0),
        ("::ffff:203.0.113.7", "", 0),
        ("::1", "", 0),
        ("127.0.0.1", "6", 0),
    ],
)
def test_the_page_hints_at_the_family_over_which_it_is_read(
    client_peer: Peer, admin_browser: Client, reader: str, family: str, hinted: int
) -> None:
    at(settle(client_peer.instance), V4, V6)
    url = f"/peers/{client_peer.pk}/profile/"
    page = admin_browser.post(url, {"family": family} if family else {}, REMOTE_ADDR=reader).content.decode()
    found = [over for over in (4, 6) if f"reading this over IPv{over}" in page]
    assert found == ([hinted] if hinted else [])


def test_a_family_that_the_hub_lost_is_not_found(client_peer: Peer, admin_browser: Client) -> None:
    at(settle(client_peer.instance), V4)
    assert admin_browser.post(f"/peers/{client_peer.pk}/profile/", {"family": "6"}).status_code == 404


@pytest.mark.parametrize(
    ("servers", "carries_ipv4", "carries_ipv6", "gap"),
    [
        (["9.9.9.9"], True, False, ""),
        (["9.9.9.9"], False, True, "IPv4"),
        (["9.9.9.9", "2620:fe::fe"], False, True, ""),
        (["2620:fe::fe"], True, False, "IPv6"),
        (["9.9.9.9", "2620:fe::fe"], False, False, "IPv4 and IPv6"),
    ],
)
def test_resolvers_that_the_server_cannot_ask_are_told(
    instance: Instance, admin_browser: Client, servers: list[str], carries_ipv4: bool, carries_ipv6: bool, gap: str
) -> None:
    Instance.objects.update(public_dns=servers)
    Server.objects.update(carries_ipv4=carries_ipv4, carries_ipv6=carries_ipv6)
    page = admin_browser.get(f"/instances/{instance.pk}/dns/").content.decode()
    assert ("The hub cannot reach any of these" in page) is bool(gap)
    assert f"has no {gap} to the internet" in page or not gap


def test_the_settings_say_where_the_hub_is_reached(instance: Instance, admin_browser: Client) -> None:
    at(instance, V4, V6)
    page = admin_browser.get(f"/instances/{instance.pk}/settings/").content.decode()
    assert V4 in page
    assert V6 in page
