"""The core of OpenVPN Connect with the profiles that users get."""

from __future__ import annotations

import pytest

from tests.lab import openvpn3
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6
from tests.lab.waiting import wait_until


@pytest.fixture(autouse=True)
def available() -> None:
    openvpn3.root()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_the_core_of_connect_uses_the_profile_that_users_get(lab: Lab, hub: Hub, protocol: str) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.connect_openvpn(berlin.router, subnets=(berlin.lan_v4, berlin.lan_v6))
    device = hub.add_openvpn()
    hub.apply_next()
    log = openvpn3.up(lab, alice, hub.openvpn_profile(device), transport=protocol)
    lab.wait_ping(alice, hub.v4)
    others = {hub.v6, berlin.lan.v4, berlin.lan.v6}
    assert lab.answers(alice, list(others)) == others
    assert f"via /{protocol.upper()} on" in log.read_text()
    assert (hub.status().sessions or {})[device.peer_id].listener == protocol


def test_the_core_of_connect_sends_all_traffic_through_the_hub(lab: Lab, hub: Hub) -> None:
    hub.dns = ("9.9.9.9",)
    alice = lab.add_client("alice")
    device = hub.add_openvpn(route_all=True)
    hub.apply()
    log = openvpn3.up(lab, alice, hub.openvpn_profile(device))
    for address, family in ((OUTSIDE_V4, "ip"), (OUTSIDE_V6, "ip6")):
        with lab.count(hub.node, f"{family} daddr {address} iifname ou-{hub.hub}") as counter:
            lab.wait_ping(alice, address)
            assert counter.packets > 0
    resolv_conf = log.parent / "resolv.conf"
    wait_until(lambda: "nameserver 9.9.9.9" in resolv_conf.read_text(), 5, log.read_text())
