"""Knocks from outside of the host's loopback: real listeners, behind a real firewall and a real router."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from portal.told import in_words
from tests.lab.devices import Device
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6
from tests.lab.waiting import wait_until
from vpn import pki
from vpn.drivers.base import Found, Knock
from vpn.drivers.knocking import knock_on
from vpn.drivers.outside import PREFIX, Host, Posts
from vpn.wire.peers import PROBE

FIREWALL = """
table inet wall {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    tcp dport 22 accept
    %s
  }
}
"""
LISTENERS = ("wireguard", "openvpn_udp", "openvpn_tcp", "openvpn_compat")
# The address of the router, which the host does not have.
PUBLIC = "203.0.113.200"
posts: dict[str, Posts] = {}


@pytest.fixture
def running(lab: Lab, agent: Agent) -> Iterator[Hub]:
    """A hub with all four listeners, and the portal's own peer."""
    hub = Hub(lab, agent)
    probe = hub.add()
    del hub.devices[probe.peer_id]
    probe.peer_id = PROBE
    hub.devices[PROBE] = probe
    hub.add_openvpn(compat=True)
    hub.apply()
    posts[hub.hub] = Posts(Host(lab.host.netns))
    yield hub
    posts.pop(hub.hub).close()
    left = lab.run(lab.host, ["ip", "-br", "link"]).stdout
    assert PREFIX not in left, "no cable is left behind"


def knock(hub: Hub, address: str = "") -> dict[str, Found]:
    """Knock on all of a hub's listeners."""
    probe, authority = hub.devices[PROBE], hub.authority
    assert authority is not None
    asked = Knock(
        address=address or hub.lab.host.v4,
        wireguard_port=hub.port,
        hub_public_key=hub.public_key,
        private_key=probe.private_key,  # type: ignore[union-attr]
        preshared_key=probe.preshared_key,  # type: ignore[union-attr]
        source_address=probe.v4,
        hub_address=hub.v4,
        openvpn_port=authority.port,
        client_key=pki.tls_crypt_v2_client_key(authority.server_key),
        compat_port=authority.compat_port,
    )
    return knock_on(posts[hub.hub], [asked], 2.0)[0]


def states(found: dict[str, Found]) -> dict[str, tuple[str, str]]:
    return {listener: (one.state, one.cause) for listener, one in found.items()}


def wall(lab: Lab, *accepted: str) -> None:
    """Load a firewall on the host, in place of the one before."""
    lab.run(lab.host, ["nft", "delete", "table", "inet", "wall"], check=False)
    lab.run(lab.host, ["nft", "-f", "-"], stdin=FIREWALL % "\n    ".join(accepted))


def test_every_listener_of_an_open_host_is_proven(running: Hub) -> None:
    assert states(knock(running)) == dict.fromkeys(LISTENERS, ("proven", ""))
    assert states(knock(running, running.lab.host.v6)) == dict.fromkeys(LISTENERS, ("proven", ""))


def test_a_firewall_on_the_host_is_found_out_port_by_port(running: Hub) -> None:
    lab = running.lab
    wall(lab)
    assert states(knock(running)) == dict.fromkeys(LISTENERS, ("unreachable", "firewall"))
    wall(lab, f"udp dport {running.port} accept", f"tcp dport {running.port} accept")
    found = states(knock(running))
    assert found["wireguard"] == found["openvpn_compat"] == ("proven", "")
    assert found["openvpn_udp"] == found["openvpn_tcp"] == ("unreachable", "firewall")
    wall(lab, "meta l4proto { tcp, udp } th dport 20000-32767 accept")
    assert states(knock(running)) == dict.fromkeys(LISTENERS, ("proven", ""))


def test_a_listener_that_is_not_there_is_no_fault_of_a_firewall(running: Hub) -> None:
    running.authority.compat_port = 29999  # type: ignore[union-attr]
    found = knock(running)
    assert (found["openvpn_compat"].state, found["openvpn_compat"].cause) == ("unreachable", "silent")
    assert in_words(found["openvpn_compat"].reason) == "It cannot be reached (ConnectionRefusedError)."
    assert found["wireguard"].state == "proven"


def router_in_front(lab: Lab) -> None:
    """Forward what comes from others for an address that the router alone has; nothing leads back to the host."""
    router = lab.internet
    lab.add_address(router, f"{PUBLIC}/32")
    lab.run(
        router,
        ["nft", "-f", "-"],
        stdin=f"""
table ip forwarding {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip saddr != {lab.host.v4} ip daddr {PUBLIC} meta l4proto {{ tcp, udp }} th dport 20000-32767 dnat to {lab.host.v4}
  }}
}}
""",
    )


def test_a_router_that_does_not_lead_back_leaves_it_open(running: Hub) -> None:
    router_in_front(running.lab)
    assert states(knock(running, PUBLIC)) == dict.fromkeys(LISTENERS, ("unproven", "nat"))
    wall(running.lab)
    assert states(knock(running, PUBLIC)) == dict.fromkeys(LISTENERS, ("unreachable", "firewall"))


def test_the_portals_peer_reaches_the_hub_and_nobody_beyond(running: Hub) -> None:
    lab = running.lab
    alice, bob, intruder = lab.add_client("alice"), lab.add_client("bob"), lab.add_client("intruder")
    first, second = running.connect(alice, everything=True), running.connect(bob, everything=True)
    probe = running.devices[PROBE]
    assert isinstance(probe, Device)
    # As if its key had been stolen.
    lab.wg_quick_up(intruder, running.profile(probe, everything=True))
    lab.wait_ping(intruder, running.v4)
    assert lab.ping(alice, second.v4, count=3)
    assert lab.ping(alice, OUTSIDE_V4, count=3)
    assert lab.answers(intruder, [first.v4, first.v6, second.v4, OUTSIDE_V4, OUTSIDE_V6]) == set()
    assert lab.answers(alice, [probe.v4, probe.v6]) == set()
    assert running.status().drift in (None, [])


def cables(lab: Lab) -> list[str]:
    return [
        line.split("@")[0] for line in lab.run(lab.host, ["ip", "-br", "link"]).stdout.splitlines() if PREFIX in line
    ]


def test_a_host_that_is_strict_with_strangers_is_proven(running: Hub) -> None:
    strict = ["rp_filter=1", "arp_ignore=2", "arp_announce=2"]
    for each in strict:
        running.lab.run(running.lab.host, ["sysctl", "-qw", f"net.ipv4.conf.all.{each}"])
    assert states(knock(running)) == dict.fromkeys(LISTENERS, ("proven", ""))


def test_one_cable_serves_many_knocks_and_is_laid_anew_where_somebody_takes_it(running: Hub) -> None:
    assert states(knock(running))["wireguard"] == ("proven", "")
    first = cables(running.lab)
    assert states(knock(running))["wireguard"] == ("proven", "")
    assert cables(running.lab) == first
    running.lab.run(running.lab.host, ["ip", "route", "flush", "dev", first[0]])
    assert states(knock(running)) == dict.fromkeys(LISTENERS, ("proven", ""))
    running.lab.run(running.lab.host, ["ip", "link", "delete", *cables(running.lab)])
    assert states(knock(running)) == dict.fromkeys(LISTENERS, ("proven", ""))
    assert len(cables(running.lab)) == 1


def test_nothing_is_left_of_a_worker_that_was_killed(running: Hub) -> None:
    knock(running)
    pipes = posts[running.hub].outside._session._pipes
    assert pipes is not None
    # What the kernel does with the pipes of a process that is gone.
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), pipes.requests)
    wait_until(lambda: not cables(running.lab), 10, "the cable to go with its process")
