"""A pool that is widened while the hub carries traffic."""

from __future__ import annotations

from ipaddress import IPv4Network

from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from vpn.wire.report import COMPONENTS


def test_a_pool_is_widened_under_live_tunnels(lab: Lab, agent: Agent) -> None:
    hub = Hub(lab, agent, pool_v4=IPv4Network("10.9.16.0/24"))
    anna, ben, carl, dora = (lab.add_client(name) for name in ("anna", "ben", "carl", "dora"))
    device = hub.connect(anna)
    other = hub.connect(ben)
    over_openvpn = hub.connect_openvpn(carl)
    lab.wait_ping(anna, other.v4)
    lab.wait_ping(anna, over_openvpn.v4)
    ping = lab.start_ping(anna, other.v4, 0.01)
    ping.wait_for_replies()
    hub.pool_v4 = IPv4Network("10.9.0.0/16")
    report = hub.apply_next()
    assert report.changed["wireguard"]
    ping.wait_for_replies(20)
    assert ping.stop().lost == 0
    # Addresses stay; those with the profile of before go on, and OpenVPN comes back by itself.
    lab.wait_ping(ben, device.v4)
    lab.wait_ping(carl, hub.v4, 30)
    lab.wait_ping(anna, over_openvpn.v4, 30)
    # An address that the pool did not have before is reached with a new profile.
    newcomer = hub.add()
    newcomer.v4 = "10.9.200.7"
    hub.apply_next()
    lab.wg_quick_up(dora, hub.profile(newcomer))
    lab.wait_ping(dora, hub.v4)
    lab.wg_quick_down(anna)
    lab.wg_quick_up(anna, hub.profile(device))
    lab.wait_ping(anna, newcomer.v4)
    assert hub.apply().changed == dict.fromkeys(COMPONENTS, False)
