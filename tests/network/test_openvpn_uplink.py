"""A server whose uplink is slower than its clients: the listener's packets wait in a queue, which becomes full."""

from __future__ import annotations

import pytest

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.transfer import moves_a_file, serve_file

# The queue takes more than the listener's socket may have in it, so that the socket is what becomes full.
SLOW = ("tbf", "rate", "256kbit", "burst", "16kb", "limit", "4mb")
BURST = ("ping", "-q", "-n", "-l", "80", "-c", "80", "-s", "1200", "-W", "0.2")
BURSTS = 4


def test_a_full_uplink_costs_packets_and_no_session(world: tuple[Lab, Hub]) -> None:
    lab, hub = world
    here, there = lab.add_client("here"), lab.add_client("there")
    hub.connect_openvpn(here, transport="udp")
    device = hub.connect_openvpn(there, transport="udp")
    serve_file(lab, there, device.v4)
    if lab.run(lab.host, ["tc", "qdisc", "replace", "dev", "eth0", "root", *SLOW], check=False).returncode != 0:
        pytest.skip("the kernel has no token bucket filter")
    try:
        for _ in range(BURSTS):
            lab.run(here, [*BURST, device.v4], check=False)  # answers are lost or late
    finally:
        lab.run(lab.host, ["tc", "qdisc", "delete", "dev", "eth0", "root"])
    assert moves_a_file(lab, here, device.v4)
    for node in (here, there):
        assert lab.openvpn_log(node).read_text().count("Initialization Sequence Completed") == 1
