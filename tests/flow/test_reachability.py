"""A hub that devices cannot reach, page to packet: behind a firewall on its server, and behind a router."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.visitor import Visitor

pytestmark = [pytest.mark.flow, pytest.mark.network, pytest.mark.long]

API = "/api/v1/vpn"
# What the portal says within about a minute; the machine may be busy.
SOON = 90
OUTSIDE = "203.0.113.200"

story: dict[str, Any] = {}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A laboratory of this story's own: a firewall is loaded on its host."""
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture(scope="module")
def portal(lab: Lab) -> Iterator[RunningPortal]:
    """The portal on a server whose firewall lets nothing in but what is known."""
    wall(lab)
    with RunningPortal.of_story(lab.host.netns, lab.host.v4) as running:
        yield running


@pytest.fixture(scope="module")
def admin(portal: RunningPortal) -> Visitor:
    """The admin's browser."""
    return portal.visitor()


@pytest.fixture(scope="module")
def api(portal: RunningPortal) -> requests.Session:
    """The admin's program."""
    return session_of(portal)


def session_of(portal: RunningPortal) -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {portal.manage('api_token', 'admin@example.org')}"
    return session


def wall(lab: Lab, *accepted: str) -> None:
    """Load a firewall on the server, in place of the one before."""
    rules = ['iifname "lo" accept', "ct state established,related accept", "tcp dport 22 accept", *accepted]
    table = "table inet wall"
    chain = f"chain input {{ type filter hook input priority filter; policy drop; {'; '.join(rules)}; }}"
    lab.run(lab.host, ["nft", "-f", "-"], stdin=f"{table}\ndelete {table}\n{table} {{ {chain}; }}\n")


def no_wall(lab: Lab) -> None:
    lab.run(lab.host, ["nft", "delete", "table", "inet", "wall"])


def told(portal: RunningPortal, api: requests.Session) -> dict[str, Any]:
    """The instance as the API has it."""
    answer = api.get(f"{portal.url}{API}/instances/{story['instance']}", timeout=10)
    found: dict[str, Any] = answer.json()
    return found


def listeners(portal: RunningPortal, api: requests.Session) -> set[str]:
    """How the three listeners are found."""
    reachable = told(portal, api)["reachable"]
    return {reachable[name] for name in ("wireguard", "openvpn_udp", "openvpn_tcp")}


def codes(portal: RunningPortal, api: requests.Session) -> set[str]:
    return {need["code"] for need in told(portal, api)["needs"]} - {"resolver-silent", "hub-late"}


def create(admin: Visitor, portal: RunningPortal, api: requests.Session) -> None:
    created = admin.submit("/instances/new/", {"name": "Frankfurt", "hostname": "fra", "region": "local"})
    story["instance"] = id_in(created, "instances")
    # Its listeners for OpenVPN run as long as there is a peer for them.
    add_client(admin, story["instance"], device="old laptop", protocol="openvpn")
    wait_until(lambda: told(portal, api)["state"] == "ready", 60, "the hub to run")
    wait_until(lambda: None not in listeners(portal, api), SOON, "a knock on each listener")


def test_no_page_says_ready_behind_a_firewall(portal: RunningPortal, admin: Visitor, api: requests.Session) -> None:
    create(admin, portal, api)
    assert listeners(portal, api) == {"unreachable"}
    assert codes(portal, api) == {"hub-unreachable"}
    assert told(portal, api)["server_ready"] is True, "everything is applied: that is all that it says"
    overview, page = admin.get("/").text, admin.get(f"/instances/{story['instance']}/").text
    for text in (overview, page):
        assert "chip--good" not in text
        assert "Unreachable" in text
    assert "1 of 1 needs attention" in overview
    for words in ("firewall on the server", "20000-32767, UDP and TCP"):
        assert words in page
    health = requests.get(f"{portal.url}/healthz", timeout=10)
    assert (health.status_code, health.json()["hubs"]) == (
        200,
        "1 of 1 hubs need attention: 1 not reachable from outside.",
    )


def test_opening_the_ports_is_noticed(lab: Lab, portal: RunningPortal, api: requests.Session) -> None:
    wall(lab, "meta l4proto { tcp, udp } th dport 20000-32767 accept")
    wait_until(lambda: listeners(portal, api) == {"proven"}, SOON, "the listeners to be proven")
    assert codes(portal, api) == set()
    assert told(portal, api)["server_ready"] is True


def test_a_firewall_that_is_loaded_later_is_noticed(lab: Lab, portal: RunningPortal, api: requests.Session) -> None:
    wall(lab)
    took = wait_until(lambda: listeners(portal, api) == {"unreachable"}, SOON, "the firewall to be noticed")
    assert took < SOON
    assert codes(portal, api) == {"hub-unreachable"}


def test_a_device_is_believed_more_than_the_knock(
    lab: Lab, portal: RunningPortal, admin: Visitor, api: requests.Session
) -> None:
    # As many write it: by the interface that leads outside, which the knock does not come over.
    wall(lab, 'iifname "eth0" meta l4proto { tcp, udp } th dport 20000-32767 accept')
    phone = lab.add_client("phone")
    peer = add_client(admin, story["instance"], device="phone", protocol="wireguard")
    lab.wg_quick_up(phone, fetch_profile(admin, peer))
    wait_until(lambda: told(portal, api)["reachable"]["wireguard"] == "proven", 30, "the device to prove it")
    assert told(portal, api)["reachable"]["openvpn_udp"] == "unreachable", "nobody came there"


def test_no_resolver_answers_in_this_laboratory_and_pages_say_so(
    portal: RunningPortal, admin: Visitor, api: requests.Session
) -> None:
    wait_until(
        lambda: "resolver-silent" in {need["code"] for need in told(portal, api)["needs"]}, SOON, "the silent resolvers"
    )
    page = admin.get(f"/instances/{story['instance']}/").text
    for words in ("No public name resolves", "9.9.9.9 and 149.112.112.112", "Change resolvers"):
        assert words in page


def test_a_server_behind_a_router_that_does_not_lead_back() -> None:
    with Lab() as lab:
        no_way_back(lab)
        with RunningPortal.of_story(lab.host.netns, OUTSIDE) as portal:
            admin, api = portal.visitor(), session_of(portal)
            create(admin, portal, api)
            assert listeners(portal, api) == {"unproven"}
            assert codes(portal, api) == {"hub-unproven"}
            page = admin.get(f"/instances/{story['instance']}/").text
            for words in ("Not proven from outside", "NAT", "20000-32767, UDP and TCP", "Prove it with a device"):
                assert words in page
            assert "nothing needs attention" not in admin.get("/").text
            lab.wg_quick_up(lab.outside, shared_profile(portal, api))
            wait_until(lambda: told(portal, api)["reachable"]["wireguard"] == "proven", 30, "the device to prove it")
            assert f"Endpoint = {OUTSIDE}:" in story["profile"]
            assert codes(portal, api) == set(), "one device proves that the router forwards"
            assert "Not proven" not in admin.get(f"/instances/{story['instance']}/").text


def no_way_back(lab: Lab) -> None:
    """Give the router an address that it forwards to the host for all others, and not for the host itself."""
    lab.add_address(lab.internet, f"{OUTSIDE}/32")
    match = f"ip saddr != {lab.host.v4} ip daddr {OUTSIDE} meta l4proto {{ tcp, udp }} th dport 20000-32767"
    chain = f"chain in {{ type nat hook prerouting priority dstnat; {match} dnat to {lab.host.v4}; }}"
    lab.run(lab.internet, ["nft", "-f", "-"], stdin=f"table ip forwarding {{ {chain}; }}\n")


def shared_profile(portal: RunningPortal, api: requests.Session) -> str:
    """The profile of a new device, by its share token."""
    member = api.get(f"{portal.url}{API}/users", timeout=10).json()[0]["id"]
    body = {"type": "client", "protocol": "wireguard", "user_id": member, "route_all": False, "device": "laptop"}
    peers = f"{portal.url}{API}/instances/{story['instance']}/peers"
    peer = api.post(peers, json=body, timeout=10).json()["id"]
    token = api.post(f"{peers}/{peer}/token", timeout=10).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{portal.url}{API}/client", headers=bearer, timeout=20)
    assert answer.status_code == 200, answer.text
    story["profile"] = answer.text
    return answer.text
