"""What an idle OpenVPN session costs a device, and how it hears that its hub is gone all the same."""

from __future__ import annotations

import os
import signal
import time

from tests.network.hub import Hub, Watch
from tests.network.lab import Lab, wait_until

WATCHED = 50  # seconds
ATTENTIVE = 20  # seconds between two packets in one direction, at least
KILLED = 62.0  # seconds: two pings of the hub's that do not come, and a new connection
RESTARTED = 5.0  # seconds


def test_an_idle_device_is_left_alone_and_a_router_is_not(lab: Lab, hub: Hub) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.add_openvpn((berlin.lan_v4, berlin.lan_v6))
    router, device = next(iter(hub.devices.values())), hub.add_openvpn()
    hub.apply()
    lab.openvpn_up(berlin.router, hub.openvpn_profile(router))  # type: ignore[arg-type]
    lab.openvpn_up(alice, hub.openvpn_profile(device))
    lab.wait_ping(alice, hub.v4)
    # What the client's kernel says of itself on a new interface is over by then.
    time.sleep(12)
    own, from_hub = f"udp dport {hub.port + 1}", f"udp sport {hub.port + 1}"
    with (
        lab.count(lab.host, f"ip saddr {alice.v4} {own}") as up,
        lab.count(alice, from_hub) as down,
        lab.count(lab.host, f"ip saddr {berlin.router.v4} {own}") as router_up,
        lab.count(berlin.router, from_hub) as router_down,
    ):
        time.sleep(WATCHED)
        counted = [counter.packets for counter in (up, down, router_up, router_down)]
    print(counted)
    assert 1 <= counted[0] <= WATCHED / ATTENTIVE + 1
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
        os.kill(int((lab.state / hub.hub / "openvpn" / "udp.pid").read_text()), signal.SIGKILL)
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
