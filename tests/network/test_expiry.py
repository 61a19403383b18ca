"""Peers whose time is over are ended by the watch alone, and nothing but more time brings them back."""

from __future__ import annotations

import dataclasses
import subprocess
import time

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.wire.digests import digest
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
ENDED_WITHIN = 2.0


def limit(hub: Hub, device: Device | OpenVPNDevice, seconds: int) -> int:
    """Let a peer in for so long only, by a delta; return until when."""
    moment = int(time.time()) + seconds
    hub.send(hub.delta(upsert=[dataclasses.replace(device, expires_at=moment)]))
    return moment


def wait_until_after(moment: float) -> None:
    """Wait for a moment (Unix time)."""
    wait_until(lambda: time.time() > moment, 30, "the moment")


def ends_in_time(hub: Hub, node: Node, device: Device | OpenVPNDevice) -> None:
    """Traffic flows until its time is over, and no longer, although no session asks."""
    ping = hub.lab.start_ping(node, hub.v4)
    ping.wait_for_replies()
    moment = limit(hub, device, 3)
    hub.agent.close()
    wait_until_after(moment + ENDED_WITHIN)
    replies = [at for at, _ in ping.replies()]
    ping.process.kill()
    assert moment - 0.5 < replies[-1] < moment + ENDED_WITHIN


def is_as_it_was_told(hub: Hub) -> None:
    """The spec is the one that was sent, and nobody takes what is missing for somebody else's doing."""
    report = hub.agent.once("status", hub=hub.hub)["report"]
    assert report["drift"] == []
    assert report["digest"] == digest(hub.document)
    assert report["alive"] is True
    assert hub.apply().changed == NOTHING


def test_a_device_over_wireguard(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    device = hub.connect(alice)
    hub.connect(bob)
    with Watch(hub.agent):
        ends_in_time(hub, alice, device)
        assert device.public_key not in lab.run(lab.host, ["wg", "show", hub.interface, "peers"]).stdout
        assert lab.ping(bob, hub.v4), "whose time is not over stays"
        is_as_it_was_told(hub)
        assert not lab.ping(alice, hub.v4)


def test_a_device_over_openvpn(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    device = hub.connect_openvpn(alice)
    with Watch(hub.agent):
        ends_in_time(hub, alice, device)
        assert hub.status().sessions == {}
        is_as_it_was_told(hub)


def test_more_time_brings_a_peer_back(lab: Lab, hub: Hub) -> None:
    device = hub.add(["10.77.0.0/24"])
    hub.apply()
    peers = ["wg", "show", hub.interface, "peers"]
    with Watch(hub.agent):
        limit(hub, device, 1)
        wait_until(lambda: device.public_key not in lab.run(lab.host, peers).stdout, 5, "the end of its time")
        limit(hub, device, 600)
        assert device.public_key in lab.run(lab.host, peers).stdout
        assert "10.77.0.0/24" in lab.run(hub.node, ["ip", "route"]).stdout
        is_as_it_was_told(hub)


def test_a_later_end_interrupts_nobody(lab: Lab, hub: Hub) -> None:
    """As the portal moves the end of a device that was used, day after day."""
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    devices: list[Device | OpenVPNDevice] = [hub.connect(alice), hub.connect_openvpn(bob)]
    with Watch(hub.agent):
        pings = [lab.start_ping(node, hub.v4, interval=0.1) for node in (alice, bob)]
        for ping in pings:
            ping.wait_for_replies(3, 20)
        moments = [limit(hub, device, 3) for device in devices]
        for device in devices:
            limit(hub, device, 600)
        wait_until_after(max(moments) + ENDED_WITHIN)
        for ping in pings:
            assert ping.stop().lost == 0
        is_as_it_was_told(hub)


def test_a_peer_that_has_ended_is_taken_out_of_the_spec(lab: Lab, hub: Hub) -> None:
    device, other = hub.add(["10.77.0.0/24"]), hub.add_openvpn(["10.78.0.0/24"])
    hub.apply()
    with Watch(hub.agent):
        for each in (device, other):
            wait_until_after(limit(hub, each, 1) + 1)
            hub.send(hub.delta(remove=[each]))
            is_as_it_was_told(hub)


def test_healing_brings_nobody_back(lab: Lab, hub: Hub) -> None:
    device = hub.add()
    hub.apply()
    peers = ["wg", "show", hub.interface, "peers"]
    with Watch(hub.agent):
        limit(hub, device, 1)
        wait_until(lambda: device.public_key not in lab.run(lab.host, peers).stdout, 5, "the end of its time")
        subprocess.run(["ip", "netns", "delete", f"hub-{hub.hub}"], check=True)
        wait_until(lambda: hub.hub in lab.hubs() and hub.apply().changed == NOTHING, 10, "the healed hub")
        assert device.public_key not in lab.run(lab.host, peers).stdout
        is_as_it_was_told(hub)


def test_a_time_that_ran_out_while_nobody_watched_is_over(lab: Lab, hub: Hub) -> None:
    device = hub.add()
    hub.apply()
    wait_until_after(limit(hub, device, 1) + 0.5)
    peers = ["wg", "show", hub.interface, "peers"]
    assert device.public_key in lab.run(lab.host, peers).stdout
    with Watch(hub.agent):
        wait_until(lambda: device.public_key not in lab.run(lab.host, peers).stdout, 5, "the end of its time")
    is_as_it_was_told(hub)
    # A whole spec does not let it in either.
    hub.apply_next()
    assert device.public_key not in lab.run(lab.host, peers).stdout
