"""What an idle OpenVPN session costs a device, and how it hears that its hub is gone all the same."""

from __future__ import annotations

import json
import os
import signal
import time

from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until

WATCHED = 50  # seconds
ATTENTIVE = 20  # seconds between two packets in one direction, at least
KILLED = 62.0  # seconds: two pings of the hub's that do not come, and a new connection
RESTARTED = 5.0  # seconds


def packets_into(lab: Lab, node: Node, interface: str) -> int:
    """How many packets a node has sent into an interface."""
    shown = json.loads(lab.run(node, ["ip", "-s", "-j", "link", "show", "dev", interface]).stdout)
    return int(shown[0]["stats64"]["tx"]["packets"])


def test_an_idle_device_is_left_alone_and_a_router_is_not(lab: Lab, hub: Hub) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.add_openvpn((berlin.lan_v4, berlin.lan_v6))
    router, device = next(iter(hub.devices.values())), hub.add_openvpn()
    hub.apply()
    lab.openvpn_up(berlin.router, hub.openvpn_profile(router))  # type: ignore[arg-type]
    tunnel = lab.openvpn_up(alice, hub.openvpn_profile(device))
    lab.wait_ping(alice, hub.v4)
    own, from_hub = f"udp dport {hub.port + 1}", f"udp sport {hub.port + 1}"
    with (
        lab.count(lab.host, f"ip saddr {alice.v4} {own}") as up,
        lab.count(alice, from_hub) as down,
        lab.count(lab.host, f"ip saddr {berlin.router.v4} {own}") as router_up,
        lab.count(berlin.router, from_hub) as router_down,
    ):
        said_before = packets_into(lab, alice, tunnel)
        time.sleep(WATCHED)
        # The device's kernel solicits routers and reports its groups on a new interface: that is not OpenVPN's.
        own_words = packets_into(lab, alice, tunnel) - said_before
        counted = [counter.packets for counter in (up, down, router_up, router_down)]
    print(counted, own_words)
    assert 1 <= counted[0] <= WATCHED / ATTENTIVE + 1 + own_words
    assert 1 <= counted[1] <= WATCHED / ATTENTIVE + 1
    assert min(counted[2:]) > WATCHED / 4
    # The session is as good as before, at both ends.
    assert lab.ping(alice, hub.v4)
    assert device.peer_id in (hub.status().sessions or {})


def test_a_device_comes_back_after_a_kill_and_at_once_after_a_restart(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect_openvpn(alice)
    with Watch(hub.agent):
        ping = lab.start_ping(alice, hub.v4, 0.1)
        ping.wait_for_replies()
        os.kill(int((lab.state / hub.hub / "openvpn" / "run" / "udp.pid").read_text()), signal.SIGKILL)
        killed = time.time()
        wait_until(lambda: any(at > killed + 1 for at, _ in ping.replies()), KILLED + 10, "traffic after the kill")
        after_kill = ping.stop().longest_gap
        assert hub.authority is not None
        hub.authority.renew()
        ping = lab.start_ping(alice, hub.v4, 0.05)
        ping.wait_for_replies()
        restarted = time.time()
        hub.apply_next()
        wait_until(lambda: any(at > restarted + 1 for at, _ in ping.replies()), 30, "traffic after the restart")
        after_restart = ping.stop().longest_gap
        print(f"killed: {after_kill:.1f} s, restarted: {after_restart:.1f} s")
        assert after_kill < KILLED
        assert after_restart < RESTARTED
