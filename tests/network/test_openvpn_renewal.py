"""A session that was pushed other routes than there are now begins anew by itself, and soon."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.lab import openvpn3, suites
from tests.lab.clients import OpenVPNClient
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until

WITHIN = 60.0  # seconds, as pages say
GAP = 6.0  # seconds that a session is silent for


@pytest.mark.parametrize(("protocol", "way"), [("udp", "delta"), ("tcp", "spec")])
def test_a_connected_site_and_device_reach_a_new_site(lab: Lab, hub: Hub, protocol: str, way: str) -> None:
    alice, berlin, bonn = lab.add_client("alice"), lab.add_site("berlin"), lab.add_site("bonn")
    hub.connect_openvpn(berlin.router, subnets=(berlin.lan_v4, berlin.lan_v6), transport=protocol)
    hub.connect_openvpn(alice, transport=protocol)
    with Watch(hub.agent):
        wait_until(lambda: not (lab.state / hub.hub / "openvpn" / "push_changed").exists(), 30, "all told")
        ping = lab.start_ping(alice, hub.v4, 0.05)
        ping.wait_for_replies()
        new = hub.add((bonn.lan_v4, bonn.lan_v6))
        del hub.devices[new.peer_id]
        if way == "delta":
            hub.send(hub.delta(upsert=[new]))
        else:
            hub.devices[new.peer_id] = new
            hub.apply_next()
        lab.wg_quick_up(bonn.router, hub.profile(new, keepalive=1))
        assert not lab.ping(alice, bonn.lan.v4, timeout=0.3)
        assert {session.push_outdated for session in (hub.status().sessions or {}).values()} == {True}
        started = time.monotonic()
        for node in (alice, berlin.lan):
            for address in (bonn.lan.v4, bonn.lan.v6):
                lab.wait_ping(node, address, WITHIN)
        took = time.monotonic() - started
        wait_until(lambda: not any(s.push_outdated for s in (hub.status().sessions or {}).values()), 20, "all told")
        gap = ping.stop().longest_gap
        print(f"{protocol} by {way}: reached after {took:.1f} s, silent for {gap:.1f} s")
        assert gap < GAP
        before = {peer: session.connected_since for peer, session in (hub.status().sessions or {}).items()}
        wait_until(lambda: not (lab.state / hub.hub / "openvpn" / "push_changed").exists(), 30, "all told")
        after = {peer: session.connected_since for peer, session in (hub.status().sessions or {}).items()}
        assert after == before


def test_what_runs_through_a_device_goes_on(lab: Lab, hub: Hub) -> None:
    alice, berlin, bonn = lab.add_client("alice"), lab.add_site("berlin"), lab.add_site("bonn")
    hub.connect_site(berlin)
    hub.connect_openvpn(alice)
    serve_slowly(lab, berlin.lan, berlin.lan.v4)
    with Watch(hub.agent):
        talking = talk(lab, alice, berlin.lan.v4)
        hub.connect_site(bonn)
        lab.wait_ping(alice, bonn.lan.v4, WITHIN)
        assert talking.poll() is None
        output, _ = talking.communicate(timeout=60)
    assert output.strip() == "whole"


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_version_25_comes_back_by_itself(lab: Lab, hub: Hub, protocol: str) -> None:
    client = OpenVPNClient(suites.root_of("bullseye", "/usr/sbin/openvpn"))
    alice, bonn = lab.add_client("alice"), lab.add_site("bonn")
    device = hub.add_openvpn()
    hub.apply_next()
    lab.openvpn_up(alice, hub.openvpn_profile(device), client=client, transport=protocol)
    lab.wait_ping(alice, hub.v4)
    _reaches_a_new_site(lab, hub, alice, bonn, gap=10.0)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_the_core_of_connect_comes_back_by_itself(lab: Lab, hub: Hub, protocol: str) -> None:
    openvpn3.root()
    alice, bonn = lab.add_client("alice"), lab.add_site("bonn")
    device = hub.add_openvpn()
    hub.apply_next()
    openvpn3.up(lab, alice, hub.openvpn_profile(device), transport=protocol)
    lab.wait_ping(alice, hub.v4)
    _reaches_a_new_site(lab, hub, alice, bonn, gap=10.0)


def _reaches_a_new_site(lab: Lab, hub: Hub, node: Node, site: Site, *, gap: float) -> None:
    """Add a site, and wait until a machine that was connected before reaches it, without anybody's doing."""
    with Watch(hub.agent):
        ping = lab.start_ping(node, hub.v4, 0.05)
        ping.wait_for_replies()
        hub.connect_site(site)
        lab.wait_ping(node, site.lan.v4, WITHIN)
        longest = ping.stop().longest_gap
        print(f"silent for {longest:.1f} s")
        assert longest < gap


_TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 9100), 5) as connection:
    connection.settimeout(20)
    for number in range(250):
        connection.sendall(b"%03d" % number)
        assert connection.recv(3, socket.MSG_WAITALL) == b"%03d" % number
        __import__("time").sleep(0.05)
print("whole")
"""
_ANSWER = """
import socket, sys
with socket.create_server((sys.argv[1], 9100)) as door:
    print("ready", flush=True)
    connection, _ = door.accept()
    while data := connection.recv(3):
        connection.sendall(data)
"""


def serve_slowly(lab: Lab, node: Node, address: str) -> None:
    """Send back what is said to `address` on TCP port 9100."""
    process = lab.start(node, [sys.executable, "-S", "-c", _ANSWER, address], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def talk(lab: Lab, node: Node, address: str) -> subprocess.Popen[str]:
    """Say something every moment over one TCP connection; it says "whole" where that held."""
    return lab.start(node, [sys.executable, "-S", "-c", _TALK, address], stdout=subprocess.PIPE)
