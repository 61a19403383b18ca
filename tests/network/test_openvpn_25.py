"""openvpn 2.5 with the profiles that users get, and as the router that announces no ciphers."""

from __future__ import annotations

import re

import pytest

from tests.lab import suites
from tests.lab.clients import OpenVPNClient
from tests.lab.delivered import delivered
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6
from tests.lab.waiting import wait_until


@pytest.fixture
def client() -> OpenVPNClient:
    """openvpn 2.5."""
    return OpenVPNClient(suites.root_of("bullseye", "/usr/sbin/openvpn"))


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_version_25_connects_with_the_profile_that_users_get(
    lab: Lab, hub: Hub, client: OpenVPNClient, protocol: str
) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.connect_openvpn(berlin.router, subnets=(berlin.lan_v4, berlin.lan_v6))
    device = hub.add_openvpn()
    hub.apply_next()
    lab.openvpn_up(alice, hub.openvpn_profile(device), client=client, transport=protocol)
    lab.wait_ping(alice, hub.v4)
    for address in (hub.v6, berlin.lan.v4, berlin.lan.v6):
        lab.wait_ping(alice, address)
    log = lab.openvpn_log(alice).read_text()
    assert "OpenVPN 2.5." in log
    assert "Data Channel: using negotiated cipher 'AES-256-GCM'" in log
    assert (hub.status().sessions or {})[device.peer_id].listener == protocol


def test_version_25_sends_all_traffic_through_the_hub(lab: Lab, hub: Hub, client: OpenVPNClient) -> None:
    hub.dns = ("9.9.9.9",)
    alice = lab.add_client("alice")
    device = hub.add_openvpn(route_all=True)
    hub.apply()
    lab.openvpn_up(alice, hub.openvpn_profile(device), client=client)
    for address, family in ((OUTSIDE_V4, "ip"), (OUTSIDE_V6, "ip6")):
        with lab.count(hub.node, f"{family} daddr {address} iifname ou-{hub.hub}") as counter:
            lab.wait_ping(alice, address)
            assert counter.packets > 0
    assert "dhcp-option DNS 9.9.9.9" in lab.openvpn_log(alice).read_text()


def test_a_version_25_site_has_its_networks_behind_it(lab: Lab, hub: Hub, client: OpenVPNClient) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    device = hub.add_openvpn((berlin.lan_v4, berlin.lan_v6))
    hub.connect(alice)
    lab.openvpn_up(berlin.router, hub.openvpn_profile(device), client=client)
    lab.wait_ping(alice, berlin.lan.v4)
    lab.wait_ping(alice, berlin.lan.v6)


def test_a_router_that_announces_no_ciphers_comes_in_by_the_fallback(lab: Lab, hub: Hub, client: OpenVPNClient) -> None:
    """RouterOS 6 knows no negotiation of ciphers; 2.5 is the last openvpn that can do without."""
    berlin, alice = lab.add_site("mikrotik"), lab.add_client("alice")
    (lab.directory / berlin.router.name / "user").write_text("router\nunused\n")
    router = OpenVPNClient(client.root, ("--ncp-disable", "--auth-user-pass", f"{suites.INSIDE}/user"))
    device = hub.add_openvpn((berlin.lan_v4, berlin.lan_v6), compat=True)
    hub.connect(alice)
    lab.openvpn_up(berlin.router, delivered(hub, device), client=router)
    lab.wait_ping(alice, berlin.lan.v4)
    assert lab.answers(berlin.lan, [hub.v4, hub.v6]) == {hub.v4, hub.v6}
    log = lab.openvpn_log(berlin.router).read_text()
    assert "Control Channel: TLSv1.2" in log
    assert "Data Channel: Cipher 'AES-256-CBC' initialized with 256 bit key" in log
    assert "160 bit message hash 'SHA1'" in log
    assert (hub.status().sessions or {})[device.peer_id].listener == "compat"


def test_the_hub_hears_at_once_of_a_version_25_client_that_leaves(lab: Lab, hub: Hub, client: OpenVPNClient) -> None:
    """The hub's UDP listener pushes explicit-exit-notify, which a file with a remote over TCP must not have."""
    alice = lab.add_client("alice")
    device = hub.add_openvpn()
    hub.apply()
    lab.openvpn_up(alice, hub.openvpn_profile(device), client=client)
    assert device.peer_id in (hub.status().sessions or {})
    lab.openvpn_down(alice)
    wait_until(lambda: hub.status().sessions == {}, 3, "the end of the session")


def test_routeros_6_is_pushed_no_routes_and_one_part(lab: Lab, hub: Hub, client: OpenVPNClient) -> None:
    """Its script has the routes, and a PUSH_REPLY of several parts is untried there."""
    berlin, alice = lab.add_site("mikrotik"), lab.add_client("alice")
    (lab.directory / berlin.router.name / "user").write_text("router\nunused\n")
    options = ("--ncp-disable", "--auth-user-pass", f"{suites.INSIDE}/user", "--route", "100.64.0.0", "255.192.0.0")
    device = hub.add_openvpn((berlin.lan_v4,), compat=True)
    device.static_routes = True
    # Enough for a reply of three parts.
    hub.add([f"10.{number}.77.0/24" for number in range(100, 200)])
    hub.connect(alice)
    lab.openvpn_up(berlin.router, delivered(hub, device), client=OpenVPNClient(client.root, options))
    lab.wait_ping(alice, berlin.lan.v4)
    log = lab.openvpn_log(berlin.router).read_text()
    (reply,) = re.findall(r"PUSH: Received control message: '(PUSH_REPLY,[^']*)'", log)
    words = {option.split()[0] for option in reply.split(",")[1:]}
    assert words & {"route", "route-ipv6", "redirect-gateway", "dhcp-option", "push-continuation"} == set()
    assert {"ifconfig", "route-gateway", "topology"} <= words
    assert len(reply) < 1024
