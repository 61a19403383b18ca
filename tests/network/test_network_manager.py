"""NetworkManager with the file that users get, and the commands of the profile's page."""

from __future__ import annotations

import pytest

from tests.lab import network_manager
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4
from tests.lab.suites import INSIDE


@pytest.fixture(autouse=True)
def available() -> None:
    network_manager.root()


@pytest.mark.parametrize("kept_split", [True, False])
def test_a_split_tunnel_stays_split_with_the_pages_commands(lab: Lab, hub: Hub, kept_split: bool) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.connect_site(berlin)
    device = hub.add_openvpn()
    hub.apply_next()
    manager = network_manager.start(lab, alice)
    (manager.files / "fra-laptop.ovpn").write_text(hub.openvpn_profile(device))
    manager.nmcli("connection", "import", "type", "openvpn", "file", f"{INSIDE}/fra-laptop.ovpn")
    if kept_split:
        manager.nmcli("connection", "modify", "fra-laptop", "ipv4.never-default", "yes", "ipv6.never-default", "yes")
    manager.nmcli("connection", "up", "fra-laptop")
    lab.wait_ping(alice, hub.v4)
    assert lab.ping(alice, berlin.lan.v4)
    way = lab.run(alice, ["ip", "route", "get", OUTSIDE_V4]).stdout
    assert ("dev eth0" in way) == kept_split, way
