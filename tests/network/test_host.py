"""What the agent does to its host, and what it leaves to others there."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4
from vpn.agent.system import inside
from vpn.agent.system.command import Netns
from vpn.wire.errors import AgentError


def setting(lab: Lab, name: str) -> str:
    return lab.run(lab.host, ["sysctl", "-n", name]).stdout.strip()


def test_the_agent_asks_in_a_namespace_and_stays_in_its_own(lab: Lab) -> None:
    host, own = Netns(lab.host.netns), os.stat("/proc/thread-self/ns/net")
    assert "eth0" in {name for _, name in inside.call(host, socket.if_nameindex)}
    assert inside.call(host, lambda: os.stat("/proc/thread-self/ns/net").st_ino) != own.st_ino
    with pytest.raises(ZeroDivisionError):
        inside.call(host, lambda: 1 // 0)
    with pytest.raises(FileNotFoundError):
        inside.call(Netns(f"{lab.host.netns}-gone"), socket.if_nameindex)
    assert os.path.samestat(os.stat("/proc/thread-self/ns/net"), own)


def test_a_host_that_begins_to_forward_still_hears_router_advertisements(lab: Lab, hub: Hub) -> None:
    lab.run(lab.host, ["sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1"])
    hub.apply()
    assert setting(lab, "net.ipv6.conf.all.forwarding") == "1"
    assert setting(lab, "net.ipv6.conf.eth0.accept_ra") == "2"
    assert setting(lab, f"net.ipv6.conf.vh-{hub.hub}.accept_ra") == "0"


def test_the_tables_and_addresses_of_others_are_left_alone(lab: Lab, hub: Hub) -> None:
    foreign = "table ip other { chain forward { type filter hook forward priority 0; policy accept; counter; }; }\n"
    lab.run(lab.host, ["nft", "-f", "-"], stdin=foreign)
    lab.add_address(lab.host, "198.18.0.1/32")
    before = lab.run(lab.host, ["nft", "-s", "list", "table", "ip", "other"]).stdout
    hub.apply()
    hub.destroy()
    assert lab.run(lab.host, ["nft", "-s", "list", "table", "ip", "other"]).stdout == before
    assert "198.18.0.1/32" in lab.run(lab.host, ["ip", "address"]).stdout
    hub.epoch = 2
    hub.apply()
    # The link that this address belongs to is not taken.
    assert "198.18.0.2/31" in lab.run(lab.host, ["ip", "address"]).stdout


def test_the_link_of_another_portals_hub_is_not_taken(lab: Lab, hub: Hub) -> None:
    lab.run(lab.host, ["ip", "link", "add", "vh-elsewhere0", "type", "veth", "peer", "name", "elsewhere0"])
    try:
        lab.run(lab.host, ["ip", "address", "add", "198.18.0.0/31", "dev", "vh-elsewhere0"])
        hub.apply()
        link = lab.run(lab.host, ["ip", "-4", "-br", "address", "show", "dev", f"vh-{hub.hub}"]).stdout
        assert "198.18.0.0/31" not in link
        assert "198.18." in link
    finally:
        lab.run(lab.host, ["ip", "link", "delete", "vh-elsewhere0"])


def test_many_hubs_live_side_by_side(lab: Lab, hub: Hub) -> None:
    hubs = [hub, *(Hub(lab, hub.agent, port=20001 + number) for number in range(11))]
    for one in hubs:
        one.apply()
    assert lab.hubs() == {one.hub for one in hubs}
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    first, last = hubs[0].connect(alice, everything=True), hubs[-1].connect(bob, everything=True)
    assert first.v4 == last.v4
    assert lab.ping(alice, OUTSIDE_V4)
    assert lab.ping(bob, OUTSIDE_V4)
    assert hub.agent.ask(command="list")["hubs"] == sorted(one.hub for one in hubs)


def test_a_program_that_is_missing_on_the_host_is_named(lab: Lab) -> None:
    with pytest.raises(AgentError) as refusal:
        Netns(lab.host.netns).run(["conntrack-that-is-not-here"])
    assert refusal.value.code == "package-missing"


def test_a_profile_with_dns_changes_only_its_own_node(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    before = Path("/etc/resolv.conf").read_text()
    device = hub.add()
    hub.apply()
    profile = re.sub("(?m)^DNS = .*$", "DNS = 198.51.100.53", hub.profile(device, everything=True))
    lab.wg_quick_up(alice, profile, "my-vpn")
    lab.wait_ping(alice, OUTSIDE_V4)
    assert "198.51.100.53" in lab.run(alice, ["cat", "/etc/resolv.conf"]).stdout
    assert "198.51.100.53" not in lab.run(bob, ["cat", "/etc/resolv.conf"]).stdout
    assert lab.latest_handshake(alice, "my-vpn") > 0
    lab.wg_quick_down(alice, "my-vpn")
    assert "198.51.100.53" not in lab.run(alice, ["cat", "/etc/resolv.conf"]).stdout
    assert Path("/etc/resolv.conf").read_text() == before


def test_the_laboratory_leaves_nothing_behind(hub: Hub) -> None:
    with Lab() as other:
        inner = Hub(other, hub.agent)
        hub.agent.lab = other
        inner.connect(other.add_client("carol"))
        hub.agent.close()
        prefix, directory = other.prefix, other.directory
    left = [path.name for place in ("/run/netns", "/etc/netns") for path in Path(place).iterdir()]
    assert not [name for name in left if name.startswith(prefix) or inner.hub in name]
    assert not directory.exists()
    assert not Path(f"/run/wireguard/{inner.interface}.sock").exists()
