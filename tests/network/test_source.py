"""On a server with several addresses a hub speaks from the one that profiles name, after a crash as well."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.delivered import delivered
from tests.lab.devices import Device
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.pinging import Pinging
from tests.lab.waiting import wait_until
from vpn.agent.network.source import TABLE

SECOND_V4, SECOND_V6 = "203.0.113.3", "2001:db8:113::3"
WITHIN = 3.0  # seconds


@dataclass(frozen=True)
class Client:
    """A device whose firewall lets in what comes from one address alone."""

    node: Node
    device: Device
    address: str


@pytest.fixture
def second(lab: Lab, hub: Hub) -> Hub:
    """A hub that is known by the second address of each family, from which the host does not send by itself."""
    lab.add_address(lab.host, f"{SECOND_V4}/24", "eth0")
    lab.add_address(lab.host, f"{SECOND_V6}/64", "eth0")
    # Of two IPv6 addresses the kernel prefers the newer one.
    lab.run(lab.host, ["ip", "address", "change", f"{SECOND_V6}/64", "dev", "eth0", "preferred_lft", "0"])
    hub.server = {"addresses": [SECOND_V4, SECOND_V6], "networks": [], "portal_port": None}
    return hub


def connected(lab: Lab, hub: Hub, name: str, address: str) -> Client:
    """A device that is connected to this address of the hub's, and hears it alone."""
    node = lab.add_client(name)
    device = hub.add()
    hub.apply_next()
    hear_only(lab, node, address)
    lab.wg_quick_up(node, delivered(hub, device, [address]))
    lab.wait_ping(node, hub.v4)
    return Client(node, device, address)


def hear_only(lab: Lab, node: Node, address: str) -> None:
    """Have a node's firewall drop tunnel packets from everywhere but an address."""
    family = "ip6" if ":" in address else "ip"
    rules = (
        "table inet strict { chain input { type filter hook input priority 0; policy accept;"
        f' iifname "eth0" meta l4proto {{ tcp, udp }} {family} saddr != {address} drop; }}; }}\n'
    )
    lab.run(node, ["nft", "-f", "-"], stdin=rules)


def _wait_for_reply_after(ping: Pinging, moment: float, what: str) -> None:
    wait_until(lambda: any(at > moment for at, _ in ping.replies()), 25, what)


def kill_wireguard(hub: Hub) -> None:
    """End the hub's wireguard-go without a word."""
    for entry in Path("/proc").iterdir():
        # Any other process of the machine may end meanwhile.
        with contextlib.suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if entry.name.isdigit() and argv[:2] == [b"wireguard-go", hub.interface.encode()]:
                os.kill(int(entry.name), signal.SIGKILL)


def test_peers_are_called_back_from_the_address_that_they_know(lab: Lab, second: Hub) -> None:
    hub = second
    clients = [
        connected(lab, hub, "alice", SECOND_V4),
        connected(lab, hub, "bob", SECOND_V6),
        # Whoever has a profile from before, with another of the host's addresses, goes on with that one.
        connected(lab, hub, "carol", lab.host.v4),
    ]
    with Watch(hub.agent):
        endpoints = lab.state / hub.hub / "endpoints.json"
        wait_until(
            lambda: endpoints.exists() and all(client.device.public_key in endpoints.read_text() for client in clients),
            10,
            "a snapshot of all",
        )
        pings = [lab.start_ping(client.node, hub.v4, 0.05) for client in clients]
        for ping in pings:
            ping.wait_for_replies()
        kill_wireguard(hub)
        killed = time.time()
        for client, ping in zip(clients, pings, strict=True):
            _wait_for_reply_after(ping, killed + 1, client.node.name)
        gaps = {client.node.name: ping.stop().longest_gap for client, ping in zip(clients, pings, strict=True)}
        print(gaps)
        assert max(gaps.values()) < WITHIN, gaps


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_openvpn_answers_from_the_address_that_was_asked(lab: Lab, second: Hub, transport: str) -> None:
    hub, node = second, lab.add_client("dora")
    device = hub.add_openvpn((lab.add_site("bonn").lan_v4,))
    hub.apply_next()
    hear_only(lab, node, SECOND_V4)
    lab.openvpn_up(node, hub.openvpn_profile(device, host=SECOND_V4), transport=transport)
    lab.wait_ping(node, hub.v4)
    with Watch(hub.agent):
        ping = lab.start_ping(node, hub.v4, 0.1)
        ping.wait_for_replies()
        os.kill(int((lab.state / hub.hub / "openvpn" / "run" / f"{transport}.pid").read_text()), signal.SIGKILL)
        _wait_for_reply_after(ping, time.time() + 1, "dora")
        assert ping.stop().longest_gap < 12


def test_the_table_goes_with_the_last_hub_and_comes_back_when_it_was_taken(lab: Lab, second: Hub) -> None:
    hub = second
    show = ["nft", "list", "table", "inet", TABLE]
    hub.apply_next()
    assert f"ip saddr set {SECOND_V4}" in lab.run(lab.host, show).stdout
    assert not any(hub.apply().changed.values())
    lab.run(lab.host, ["nft", "delete", "table", "inet", TABLE])
    assert hub.apply().changed["egress"]
    hub.destroy()
    assert lab.run(lab.host, show, check=False).returncode != 0


def test_an_address_that_is_not_the_hosts_own_is_never_a_source(lab: Lab, hub: Hub) -> None:
    """Behind somebody else's address translation the public address is elsewhere."""
    hub.server = {"addresses": ["198.51.100.77"], "networks": [], "portal_port": None}
    hub.connect(lab.add_client("alice"))
    assert lab.run(lab.host, ["nft", "list", "table", "inet", TABLE], check=False).returncode != 0
