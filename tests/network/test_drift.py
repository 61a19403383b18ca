"""Changes on the server from outside the portal: `status` names them, the next apply of the same spec undoes them."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Hub, Watch, wg_like_key
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.status import status
from vpn.agent.memory.state import State
from vpn.agent.system.command import Netns
from vpn.wire.finding import Finding, parse_finding
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)


def drift_of(hub: Hub) -> list[str]:
    """Return the drift that `status` reports, as texts. A newly started agent need not wait for its next look."""
    report = hub.agent.once("status", hub=hub.hub, peers=True)["report"]
    assert isinstance(report["drift"], list), "it did not look"
    return [str(parse_finding(found)) for found in report["drift"]]


def _first_look(hub: Hub) -> object:
    """Return the drift that a newly started agent reports, once one has compared the hub."""
    looks: list[object] = []

    def has_looked() -> bool:
        looks.append(hub.agent.once("status", hub=hub.hub, peers=True)["report"].get("drift"))
        return looks[-1] is not None

    wait_until(has_looked, 10, "a look at the hub")
    return looks[-1]


def inside(hub: Hub, *argv: str) -> None:
    hub.lab.run(hub.node, argv)


@pytest.fixture(scope="module")
def settled(world: tuple[Lab, Hub]) -> Hub:
    """A hub with peers of both protocols, and networks behind two of them."""
    _, hub = world
    hub.add(["10.1.0.0/24", "fd10:1::/64"])
    hub.add()
    hub.add_openvpn(["10.2.0.0/24"])
    hub.add_openvpn(compat=True)
    hub.apply()
    return hub


def a_wireguard_peer(hub: Hub) -> Device:
    return next(device for device in hub.devices.values() if isinstance(device, Device))


def an_openvpn_peer(hub: Hub) -> OpenVPNDevice:
    return next(device for device in hub.devices.values() if isinstance(device, OpenVPNDevice))


def clients(hub: Hub) -> Path:
    return hub.lab.state / hub.hub / "openvpn" / "ccd"


STRANGER = wg_like_key()
PEER_ID = "[0-9a-f-]{36}"


def set_peer(hub: Hub, *settings: str, key: str = "") -> None:
    hub.lab.run(hub.lab.host, ["wg", "set", hub.interface, "peer", key or a_wireguard_peer(hub).public_key, *settings])


def nft(hub: Hub, *words: str) -> None:
    inside(hub, "nft", *words)


CHANGES: dict[str, tuple[Callable[[Hub], object], str]] = {
    "a peer added": (
        lambda hub: set_peer(hub, "allowed-ips", "100.64.9.9/32", key=STRANGER),
        rf"wireguard: peer-added \({re.escape(STRANGER[:8])}\)",
    ),
    "a peer removed": (lambda hub: set_peer(hub, "remove"), rf"wireguard: peer-removed \({PEER_ID}\)"),
    "allowed IPs": (
        lambda hub: set_peer(hub, "allowed-ips", "100.64.9.9/32"),
        rf"wireguard: allowed-ips-changed \({PEER_ID}\)",
    ),
    "a preshared key": (
        lambda hub: set_peer(hub, "preshared-key", "/dev/null"),
        rf"wireguard: preshared-key-changed \({PEER_ID}\)",
    ),
    "the hub's port": (
        lambda hub: hub.lab.run(hub.lab.host, ["wg", "set", hub.interface, "listen-port", "20777"]),
        r"wireguard: settings-changed",
    ),
    "a route": (
        lambda hub: inside(hub, "ip", "route", "add", "10.9.0.0/16", "dev", hub.interface),
        r"routing: route-added \(10\.9\.0\.0/16\)",
    ),
    "a route of IPv6": (
        lambda hub: inside(hub, "ip", "route", "add", "fd99::/64", "dev", hub.interface),
        r"routing: route-added \(fd99::/64\)",
    ),
    "a blackhole": (
        lambda hub: inside(hub, "ip", "route", "add", "blackhole", "10.8.0.0/16"),
        r"routing: route-added \(10\.8\.0\.0/16\)",
    ),
    "a second way for a network": (
        lambda hub: inside(hub, "ip", "route", "add", "10.1.0.0/24", "dev", f"up-{hub.hub}", "metric", "50"),
        r"routing: route-added \(10\.1\.0\.0/24\)",
    ),
    "a route in another table": (
        lambda hub: inside(hub, "ip", "route", "add", "10.7.0.0/16", "dev", hub.interface, "table", "77"),
        r"routing: route-added \(10\.7\.0\.0/16\)",
    ),
    "a route of a session that is none": (
        lambda hub: inside(hub, "ip", "route", "add", "10.6.0.0/16", "dev", f"ou-{hub.hub}", "proto", "201"),
        r"openvpn: route-added \(10\.6\.0\.0/16\)",
    ),
    "a route led elsewhere": (
        lambda hub: inside(hub, "ip", "route", "replace", "10.1.0.0/24", "dev", f"up-{hub.hub}"),
        r"routing: route-changed \(10\.1\.0\.0/24\)",
    ),
    "a route removed": (
        lambda hub: inside(hub, "ip", "route", "delete", "fd10:1::/64"),
        r"routing: route-removed \(fd10:1::/64\)",
    ),
    "an address on the tunnel": (
        lambda hub: inside(hub, "ip", "address", "add", "10.99.0.1/24", "dev", hub.interface),
        r"wireguard: address-added \(10\.99\.0\.1/24\)",
    ),
    "an address on the link": (
        lambda hub: inside(hub, "ip", "address", "add", "10.98.0.1/24", "dev", f"up-{hub.hub}"),
        r"egress: address-added \(10\.98\.0\.1/24\)",
    ),
    "an address on a listener": (
        lambda hub: inside(hub, "ip", "address", "add", "10.97.0.1/24", "dev", f"ou-{hub.hub}"),
        r"openvpn: address-added \(10\.97\.0\.1/24\)",
    ),
    "an address on loopback": (
        lambda hub: inside(hub, "ip", "address", "add", "fd98::1/64", "dev", "lo"),
        r"namespace: address-added \(fd98::1/64\)",
    ),
    "an address removed": (
        lambda hub: inside(hub, "ip", "address", "delete", f"{hub.v6}/64", "dev", hub.interface),
        r"wireguard: address-removed \(fd12:.*\)",
    ),
    "a rule": (
        lambda hub: nft(hub, "insert", "rule", "inet", "hub", "forward", "accept"),
        r"firewall: rules-added \(forward\)",
    ),
    "an element": (
        lambda hub: nft(hub, "delete", "element", "inet", "hub", "private_v4", "{ 10.0.0.0/8 }"),
        r"firewall: set-changed \(private_v4\)",
    ),
    "a table": (lambda hub: nft(hub, "add", "table", "ip", "somebody"), r"namespace: table-added \(ip/somebody\)"),
    "the translation": (
        lambda hub: nft(hub, "flush", "table", "inet", "hub_egress"),
        r"egress: translation-changed",
    ),
    "the host's rules": (
        lambda hub: hub.lab.run(hub.lab.host, ["nft", "flush", "chain", "inet", "vpnhub", "input"]),
        r"egress: host-rules-changed",
    ),
    "a client let in": (
        lambda hub: (clients(hub) / "11111111-2222-3333-4444-555555555555").write_text("# split\n"),
        r"openvpn: client-added \(11111111-2222-3333-4444-555555555555\)",
    ),
    "a client's file": (
        lambda hub: (clients(hub) / an_openvpn_peer(hub).peer_id).write_text("# all\n"),
        rf"openvpn: client-changed \({PEER_ID}\)",
    ),
    "a client shut out": (
        lambda hub: (clients(hub) / an_openvpn_peer(hub).peer_id).unlink(),
        rf"openvpn: client-removed \({PEER_ID}\)",
    ),
    "what clients are told": (
        lambda hub: (clients(hub).parent / "pushed_split").write_text(""),
        r"openvpn: file-changed \(pushed_split\)",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_somebody_else_changes_is_named_and_undone(settled: Hub, what: str) -> None:
    change, sentence = CHANGES[what]
    assert drift_of(settled) == []
    change(settled)
    found = drift_of(settled)
    assert any(re.fullmatch(sentence, each) for each in found), found
    settled.apply()
    assert drift_of(settled) == []
    assert settled.apply().changed == NOTHING


def test_what_is_not_the_hubs_own_is_none_of_its_business(settled: Hub) -> None:
    lab = settled.lab
    lab.run(lab.host, ["nft", "add", "table", "inet", "somebody"])
    lab.run(lab.host, ["ip", "route", "add", "10.9.0.0/16", "via", "203.0.113.254"])
    lab.run(lab.host, ["ip", "address", "add", "10.55.0.1/24", "dev", "lo"])
    assert drift_of(settled) == []
    settled.apply()
    assert "table inet somebody" in lab.run(lab.host, ["nft", "list", "tables"]).stdout


def test_very_much_is_told_shortly(settled: Hub) -> None:
    words = [word for _ in range(100) for word in ("peer", wg_like_key(), "allowed-ips", "")]
    settled.lab.run(settled.lab.host, ["wg", "set", settled.interface, *words])
    found = drift_of(settled)
    assert len(found) == 20
    assert found[-1] == "hub: more-changes (81)"
    settled.apply()
    assert drift_of(settled) == []


def test_no_key_is_told(settled: Hub) -> None:
    secret = wg_like_key()
    settled.lab.run(
        settled.lab.host,
        ["wg", "set", settled.interface, "peer", STRANGER, "preshared-key", "/dev/stdin"],
        stdin=f"{secret}\n",
    )
    found = " ".join(drift_of(settled))
    assert STRANGER not in found
    assert secret[:8] not in found
    settled.apply()


def quiet(hub: Hub, times: int = 3) -> None:
    """Check that no drift is reported, not even for a moment."""
    for _ in range(times):
        assert drift_of(hub) == []


def test_deltas_and_new_settings_are_ours(lab: Lab, hub: Hub) -> None:
    hub.add_openvpn(["10.2.0.0/24"])
    hub.apply()
    for subnets in ([], ["10.5.0.0/16"], ["fd10:5::/64"]):
        device = hub.add(subnets)
        del hub.devices[device.peer_id]
        hub.send(hub.delta(upsert=[device]))
        quiet(hub, 1)
        hub.send(hub.delta(remove=[device]))
        quiet(hub, 1)
    hub.mtu = 1380
    hub.forwarding = "deny"
    hub.apply_next()
    quiet(hub)


def test_rules_and_names_are_ours(lab: Lab, hub: Hub) -> None:
    tag = "user:00000000-0000-4000-8000-000000000001"
    hub.forwarding = "deny"
    hub.rules = (
        {"id": "00000000-0000-4000-8000-000000000002", "action": "accept", "protocol": "tcp", "ports": [80, 443],
         "source": tag, "destination": "any"},
    )  # fmt: skip
    hub.resolver = {
        "domain": "hub.example.net", "public_addresses": [lab.host.v4], "upstreams": [lab.outside.v4],
        "domains": ["corp.example.net"], "domain_servers": ["10.1.0.53"],
        "records": [{"name": "intranet.hub.example.net", "type": "A", "value": "10.1.0.80"}],
    }  # fmt: skip
    hub.add(["10.1.0.0/24"])
    hub.apply()
    quiet(hub, 1)
    device = dataclasses.replace(hub.add(), tags=(tag,), names=("laptop.anna",))
    del hub.devices[device.peer_id]
    hub.send(hub.delta(upsert=[device]))
    quiet(hub, 1)
    with Watch(hub.agent):
        hub.send(hub.delta(upsert=[dataclasses.replace(device, expires_at=int(time.time()) + 1)]))
        show = ["wg", "show", hub.interface, "peers"]
        wait_until(lambda: device.public_key not in lab.run(lab.host, show).stdout, 5, "the end of its time")
        quiet(hub, 1)
    hub.send(hub.delta(remove=[device]))
    quiet(hub, 1)
    assert hub.apply().changed == NOTHING


def test_sessions_and_roaming_are_ours(lab: Lab, hub: Hub) -> None:
    alice, bob, berlin = lab.add_client("alice"), lab.add_client("bob"), lab.add_site("berlin")
    hub.connect_site(berlin)
    hub.connect(alice)
    quiet(hub, 1)
    hub.connect_openvpn(bob, subnets=["10.77.0.0/24"])
    quiet(hub)
    lab.wait_ping(alice, berlin.lan.v4)
    lab.openvpn_down(bob)
    quiet(hub)
    lab.openvpn_up(bob, hub.openvpn_profile(an_openvpn_peer(hub)), transport="tcp")
    lab.wait_ping(bob, hub.v4)
    quiet(hub)


def test_healing_is_ours(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect(alice)
    with Watch(hub.agent):
        endpoints = lab.state / hub.hub / "endpoints.json"
        wait_until(endpoints.exists, 6, "a snapshot")
        inside(hub, "ip", "link", "delete", hub.interface)
        wait_until(lambda: not hub.status().alive, 5, "the end of the tunnel")
        wait_until(lambda: hub.status().alive, 10, "the healed tunnel")
        # The tunnel is up before the watch is done with the hub; until then there is nothing to compare with.
        assert _first_look(hub) == []
        quiet(hub)


def test_a_change_under_way_is_none(lab: Lab, hub: Hub) -> None:
    hub.apply()
    inside(hub, "ip", "route", "add", "10.9.0.0/16", "dev", hub.interface)
    (lab.state / hub.hub / "unsettled").touch()
    for _ in range(3):
        assert hub.agent.once("status", hub=hub.hub)["report"].get("drift") is None
    (lab.state / hub.hub / "unsettled").unlink()
    assert drift_of(hub) == ["routing: route-added (10.9.0.0/16)"]


def test_thousands_of_peers_are_compared_seldom(lab: Lab, hub: Hub) -> None:
    hub.add_many(4000)
    hub.apply()
    looked: Sequence[Sequence[Finding | str] | None] = [hub.status().drift for _ in range(5)]
    assert looked[0] == []
    assert looked[1:] == [None] * 4


def test_a_hub_is_compared_no_less_often_for_hubs_that_are_gone(lab: Lab, hub: Hub) -> None:
    hub.apply()
    host = Host(Netns(lab.host.netns), State(lab.state))
    host.drift_due.update({f"t{number:09}": 0.0 for number in range(10_000)})
    assert status(host, hub.hub).drift == []
    wait_until(lambda: status(host, hub.hub).drift == [], 120, "the next comparison")
