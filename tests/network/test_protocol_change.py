"""A peer that changes its protocol: the old way in stays open until the new one is used, and is shut then."""

from __future__ import annotations

import dataclasses
import time

import pytest

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from vpn.agent.lifecycle import incremental, protocol_switch
from vpn.agent.lifecycle.ending import close_former_connections
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.system.command import Netns
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
Both = Device | OpenVPNDevice


def up(lab: Lab, hub: Hub, node: Node, device: Both, transport: str = "udp") -> None:
    """Bring a peer's profile up on a node."""
    if isinstance(device, OpenVPNDevice):
        lab.openvpn_up(node, hub.openvpn_profile(device), transport=transport)
    else:
        lab.wg_quick_up(node, hub.profile(device, keepalive=1))


def moved(hub: Hub, device: Both) -> Both:
    """Have a peer change its protocol, as the portal tells it."""
    new = hub.over_wireguard(device) if isinstance(device, OpenVPNDevice) else hub.over_openvpn(device)
    hub.send(hub.delta(upsert=[new]))
    return new


def settled(hub: Hub, device: Both) -> None:
    """Tell the hub that the peer has changed its protocol for good."""
    hub.send(hub.delta(upsert=[dataclasses.replace(device, former=None)]))


def stays_silent(lab: Lab, hub: Hub, node: Node, seconds: float = 4.0) -> None:
    """Check that a node's old session is over within two seconds, and that it does not come back."""
    wait_until(lambda: not lab.ping(node, hub.v4, timeout=0.2), 2, "the end of the old session")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not lab.ping(node, hub.v4, timeout=0.4)


@pytest.fixture
def start(lab: Lab, hub: Hub) -> Node:
    """Somebody who pings others, on a hub with both protocols."""
    hub.add_openvpn()
    watcher = lab.add_client("watcher")
    hub.connect(watcher)
    return watcher


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("to", ["openvpn", "wireguard"])
def test_the_old_session_ends_when_the_new_one_begins(lab: Lab, hub: Hub, start: Node, to: str, transport: str) -> None:
    before, after = lab.add_client("before"), lab.add_client("after")
    old: Both = hub.add() if to == "openvpn" else hub.add_openvpn()
    hub.apply_next()
    up(lab, hub, before, old, transport)
    lab.wait_ping(start, old.v4)
    with Watch(hub.agent):
        ping = lab.start_ping(start, old.v4, 0.02)
        ping.wait_for_replies()
        new = moved(hub, old)
        ping.wait_for_replies(20)
        assert ping.stop().lost == 0, "nobody notices the change"
        assert lab.ping(before, hub.v6)

        ping = lab.start_ping(start, old.v4, 0.02)
        ping.wait_for_replies()
        up(lab, hub, after, new, transport)
        lab.wait_ping(after, hub.v4, 3)
        came = time.time()
        stays_silent(lab, hub, before)
        ping.wait_for_replies()
        gap = ping.stop().longest_gap
        print(f"to {to}: {gap:.2f} s")
        assert gap < 2
        assert min(at for at, _ in ping.replies() if at > came) < came + 2
        assert lab.ping(after, hub.v6)

        # What is applied again opens nothing again, and what the portal tells at last is no change for anybody.
        assert hub.apply().changed == NOTHING
        ping = lab.start_ping(start, old.v4, 0.02)
        ping.wait_for_replies()
        settled(hub, new)
        ping.wait_for_replies()
        assert ping.stop().lost == 0
        assert not lab.ping(before, hub.v4, timeout=0.4)
        assert hub.apply().changed == NOTHING


def test_a_client_that_died_without_a_word_holds_up_nobody(lab: Lab, hub: Hub, start: Node) -> None:
    node = lab.add_client("laptop")
    old = hub.add_openvpn()
    hub.apply_next()
    up(lab, hub, node, old)
    lab.wait_ping(start, old.v4)
    with Watch(hub.agent):
        new = moved(hub, old)
        lab.openvpn_down(node, kill=True)
        up(lab, hub, node, new)
        took = lab.wait_ping(node, hub.v4, 2)
        print(f"there after {took:.2f} s")
        assert lab.answers(start, [new.v4, new.v6]) == {new.v4, new.v6}
    assert hub.status().sessions == {}


@pytest.mark.parametrize("to", ["openvpn", "wireguard"])
def test_a_site_changes_protocol_with_its_networks(lab: Lab, hub: Hub, start: Node, to: str) -> None:
    berlin: Site = lab.add_site("berlin")
    subnets = (berlin.lan_v4, berlin.lan_v6)
    old: Both = hub.add(subnets) if to == "openvpn" else hub.add_openvpn(subnets)
    hub.apply_next()
    up(lab, hub, berlin.router, old)
    lab.wait_ping(berlin.router, hub.v4)
    lab.run(start, ["ip", "route", "add", berlin.lan_v4, "dev", "wg0"])
    lab.run(start, ["ip", "route", "add", berlin.lan_v6, "dev", "wg0"])
    lab.run(start, ["wg", "set", "wg0", "peer", hub.public_key, "allowed-ips", "0.0.0.0/0,::/0"])
    lan = {berlin.lan.v4, berlin.lan.v6}
    assert lab.answers(start, list(lan)) == lan
    with Watch(hub.agent):
        new = moved(hub, old)
        assert hub.apply().changed == NOTHING
        assert lab.answers(start, list(lan)) == lan, "the old session carries the networks"
        assert lab.answers(berlin.lan, [hub.v4, hub.v6]) == {hub.v4, hub.v6}
        if to == "openvpn":
            lab.wg_quick_down(berlin.router)
        else:
            lab.openvpn_down(berlin.router)
        up(lab, hub, berlin.router, new)
        lab.wait_ping(start, berlin.lan.v4, 3)
        assert lab.answers(start, list(lan)) == lan
        assert lab.answers(berlin.lan, [hub.v4, hub.v6]) == {hub.v4, hub.v6}
        wait_until(lambda: hub.apply().changed == NOTHING, 2, "rest")
        settled(hub, new)
        assert lab.answers(start, list(lan)) == lan
        assert hub.apply().changed == NOTHING


@pytest.mark.parametrize("to", ["openvpn", "wireguard"])
def test_both_end_at_once_when_the_peer_is_shut_out(lab: Lab, hub: Hub, start: Node, to: str) -> None:
    before, after = lab.add_client("before"), lab.add_client("after")
    old: Both = hub.add() if to == "openvpn" else hub.add_openvpn()
    hub.apply_next()
    up(lab, hub, before, old)
    lab.wait_ping(before, hub.v4)
    new = moved(hub, old)  # nobody watches, so that both are there
    up(lab, hub, after, new)
    hub.send(hub.delta(remove=[new]))
    for node in (before, after):
        stays_silent(lab, hub, node, 1)
    assert hub.status().sessions == {}
    assert hub.apply().changed == NOTHING


def test_whoever_was_shut_stays_shut_after_a_reboot(lab: Lab, hub: Hub, start: Node) -> None:
    before, after = lab.add_client("before"), lab.add_client("after")
    old = hub.add_openvpn()
    hub.apply_next()
    up(lab, hub, before, old)
    lab.wait_ping(before, hub.v4)
    new = moved(hub, old)
    with Watch(hub.agent):
        up(lab, hub, after, new)
        lab.wait_ping(after, hub.v4, 3)
        wait_until(lambda: hub.status().sessions == {}, 3, "the end of the old session")
    hub.agent.close()
    lab.reboot_host()
    for node in (before, after, start):
        lab.wait_ping(lab.host, node.v4)
    with Watch(hub.agent):
        lab.wait_ping(after, hub.v4, 20)
        stays_silent(lab, hub, before)
    assert hub.status().sessions == {}


def test_a_crash_while_the_old_way_in_is_shut_does_not_leave_it_open(
    lab: Lab, hub: Hub, start: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = lab.add_client("before"), lab.add_client("after")
    old = hub.add_openvpn()
    hub.apply_next()
    up(lab, hub, before, old)
    lab.wait_ping(before, hub.v4)
    new = moved(hub, old)
    up(lab, hub, after, new)
    host = Host(Netns(lab.host.netns), State(lab.state))
    wait_until(lambda: protocol_switch.connected_over_new(host.state, host.names(hub.hub)), 5, "the new handshake")

    def crash(*arguments: object, **options: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as killed:
        killed.setattr(incremental, "apply_change", crash)
        with pytest.raises(RuntimeError):
            close_former_connections(host, hub.hub)
    assert hub.status().digest == "", "the portal sees that the hub stands between two states, and applies again"
    assert hub.apply().changed["openvpn"]
    lab.wait_ping(after, hub.v4, 3)
    stays_silent(lab, hub, before)
    assert hub.status().digest
