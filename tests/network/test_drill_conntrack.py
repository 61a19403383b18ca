"""Two devices of one hub open connections without end: the host's memory of connections lasts for all others.

Short by itself; `DRILL=1` floods until a host without limits has no room left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.devices import Device
from tests.lab.dns import serve_dns
from tests.lab.flooding import Stream, Talker, flooder, talker
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node
from tests.lab.waiting import wait_until
from vpn.agent.firewall import tracking

LONG = bool(os.environ.get("DRILL"))
FLOWS = 400_000 if LONG else 10_000  # that each device tries
PACKETS_A_SECOND = 4000
# As many as leave the processors, which the devices themselves are on, to the neighbour.
PACED = 1500
# The share of the host's table (262,144 as a rule) that one hub has.
SHARE = 8
CONNECTIONS = 20
SHORTEST, LONGEST = (8, 60) if LONG else (4, 60)  # pairs of windows of a second

_CONNECT = """
import socket, sys
opened = 0
for _ in range(int(sys.argv[3])):
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 20).close()
        opened += 1
    except OSError:
        pass
print(opened)
"""
# Asks for names, so many a second, and counts the answers until none has come for a while.
_ASK_MANY = """
import select, socket, struct, sys, time
server, count, rate, patience = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.connect((server, 53))
started = heard = time.monotonic()
asked = answered = 0
while answered < count and (asked < count or time.monotonic() - heard < patience):
    if asked < count and asked < (time.monotonic() - started) * rate:
        kind = (1, 28, 65)[asked % 3]
        name = b"\\x04h%03d\\x07example\\x03com\\0" % (asked // 3 % 1000)
        door.send(struct.pack(">HHHHHH", asked & 0xFFFF, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", kind, 1))
        asked += 1
        heard = time.monotonic()
    while select.select([door], [], [], 0 if asked < count else 0.05)[0]:
        door.recv(2048)
        answered += 1
        heard = time.monotonic()
print(answered)
"""


@dataclass(frozen=True)
class World:
    """Mallory and Malory are devices of one hub, with Carol; Bob is one of another organization's."""

    lab: Lab
    hub: Hub
    other: Hub
    flooders: tuple[Talker, ...]
    mallory: Node
    carol: Node
    bob: Node

    def tracked(self, node: Node) -> int:
        """Return how many connections are tracked on a machine."""
        return int(self.lab.run(node, ["conntrack", "-C"]).stdout)

    def connections(self, node: Node, address: str = OUTSIDE_V4) -> int:
        """Return how many of twenty connections, one after the other, are opened to the server on the internet."""
        argv = ["python3", "-S", "-c", _CONNECT, address, "80", str(CONNECTIONS)]
        return int(self.lab.run(node, argv, timeout=600).stdout)

    def all(self, mode: str) -> int:
        """Tell both devices what to send; return how many packets they have sent so far."""
        return sum(int(each.ask(mode)) for each in self.flooders)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub, other = Hub(lab, agent), Hub(lab, agent, port=20010)
        nodes = [lab.add_client(name) for name in ("mallory", "malory", "carol", "bob")]
        for node in nodes[:3]:
            hub.connect(node, everything=True)
        other.connect(nodes[3], everything=True)
        # What the flood is for says nothing, or its answers would be the load.
        silence = "table inet silence { chain in { type filter hook input priority 0; udp dport 9000-65535 drop; }; }"
        lab.run(lab.outside, ["nft", "-f", "-"], stdin=silence)
        for address in (OUTSIDE_V4, OUTSIDE_V6):
            lab.serve_http(lab.outside, address, 80)
        senders = [
            flooder(lab, node, address, PACKETS_A_SECOND)
            for node, address in zip(nodes[:2], (OUTSIDE_V4, OUTSIDE_V6), strict=True)
        ]
        yield World(lab, hub, other, tuple(senders), nodes[0], nodes[2], nodes[3])
        for sender in senders:
            sender.close()
        agent.close()


def test_two_devices_do_not_fill_the_hosts_table(world: World) -> None:
    lab = world.lab
    most = int(lab.run(lab.host, ["sysctl", "-n", "net.netfilter.nf_conntrack_max"]).stdout) // SHARE
    sent = world.all("flood")
    wait_until(lambda: world.all("flood") - sent > 2 * FLOWS, 900, "the flood")
    tracked, inside = world.tracked(lab.host), world.tracked(world.hub.node)
    opened = {"bob": world.connections(world.bob)}
    # A device that has never been there shakes hands with either hub, and its neighbour over IPv6 goes on.
    for hub, name in ((world.other, "dave"), (world.hub, "erin")):
        newcomer = lab.add_client(name)
        lab.wg_quick_up(newcomer, hub.profile(_added(hub)))
        lab.wait_ping(newcomer, hub.v4, 60)
    opened["bob over IPv6"] = world.connections(world.bob, OUTSIDE_V6)
    sent = world.all("stop") - sent
    # Who shares the process of a tunnel with them has room in the table, too, once it is heard.
    opened["carol"] = world.connections(world.carol)
    print(f"\n{sent} connections tried, {tracked} tracked on the host, {inside} in the hub; opened meanwhile: {opened}")
    assert opened == dict.fromkeys(opened, CONNECTIONS)
    assert tracked < min(most, FLOWS)
    assert inside < FLOWS


def test_a_neighbour_keeps_its_throughput(world: World) -> None:
    """As much comes through beside connections without end as beside one connection of as many packets."""
    stream = Stream(world.lab, world.bob, world.lab.outside, OUTSIDE_V4)
    moved = {"one": 0.0, "flood": 0.0}
    try:
        stream.rate(1)
        for pair in range(LONGEST):
            # Other load of the machine is in both.
            for mode in ("one", "flood") if pair % 2 else ("flood", "one"):
                world.all(f"{mode} {PACED}")
                moved[mode] += stream.rate(1)
            if pair + 1 >= SHORTEST and moved["flood"] > 0.9 * moved["one"]:
                break
    finally:
        world.all("stop")
        stream.close()
    ratio = moved["flood"] / moved["one"]
    print(f"\n{ratio:.2f} of the throughput beside one connection ({pair + 1} pairs of seconds)")
    assert ratio > 0.9


def test_a_stranger_does_not_fill_the_hosts_table(world: World) -> None:
    """What knocks at a listener is limited by where it comes from, and forgotten soon; others shake hands meanwhile."""
    lab = world.lab
    stranger, newcomer = lab.add_client("stranger"), lab.add_client("frank")
    before, started = world.tracked(lab.host), time.monotonic()
    knocking = talker(lab, stranger, _KNOCK, lab.host.v4, str(world.other.port), str(2 * FLOWS))
    try:
        sent = knocking.ask("")
        found, took = world.tracked(lab.host) - before, time.monotonic() - started
        lab.wg_quick_up(newcomer, world.other.profile(_added(world.other)))
        lab.wait_ping(newcomer, world.other.v4, 60)
    finally:
        knocking.close()
    print(f"\n{sent} knocks from one address in {took:.1f} s, {found} more tracked on the host")
    assert found < 1000 + 100 * (took + 1) + 200


def test_handshakes_succeed_while_the_hosts_table_is_as_full_as_the_limits_allow(world: World) -> None:
    """VPN sockets are tracked like all others of the host, so there has to be room for them beside what hubs may have:
    three quarters for their connections, and what knocks at them within ten seconds."""
    lab, newcomer = world.lab, world.lab.add_client("grace")
    places = int(lab.run(lab.host, ["sysctl", "-n", "net.netfilter.nf_conntrack_max"]).stdout)
    wanted = 64 * tracking.list_of_all() + 13 * tracking.attempts_per_second()
    flows = (divmod(number, 60_000) for number in range(wanted - world.tracked(lab.host)))
    as_file = "".join(
        f"-I -s 198.18.{network}.1 -d 198.19.0.1 -p udp --sport {1024 + port} --dport 9 -t 600 -u SEEN_REPLY,ASSURED\n"
        for network, port in flows
    )
    device = _added(world.other)
    try:
        lab.run(lab.host, ["conntrack", "-R", "-"], stdin=as_file, timeout=300)
        filled = world.tracked(lab.host)
        lab.wg_quick_up(newcomer, world.other.profile(device))
        lab.wait_ping(newcomer, world.other.v4, 60)
        opened = world.connections(world.bob)
    finally:
        lab.run(lab.host, ["conntrack", "-D", "-d", "198.19.0.1"], check=False, timeout=300)
    print(f"\n{filled} of {places} places taken; {opened} of {CONNECTIONS} connections opened")
    assert 0.85 * places < filled < 0.95 * places
    assert opened == CONNECTIONS


_KNOCK = """
import socket, sys
target, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(b"x", (target, port))
print(count, flush=True)
sys.stdin.readline()
"""


def test_a_branch_counts_as_one_peer(world: World) -> None:
    """Thousands of machines behind one router have one router's share, and their neighbours go on."""
    lab, hub = world.lab, world.hub
    site = lab.add_site("branch", "10.20.0.0/16")
    hub.connect_site(site)
    lab.run(site.router, ["ip", "route", "add", "local", "10.20.0.0/16", "dev", "lo"])
    # What is left of the floods would be forgotten meanwhile, and counted as fewer.
    lab.run(hub.node, ["conntrack", "-F"])
    before = world.tracked(hub.node)
    sent = talker(lab, site.router, _AS_MANY, world.hub.v4.rpartition(".")[0] + ".2", "24000").ask("")
    # What is answered after them has been behind them in the tunnel.
    lab.wait_ping(site.router, hub.v4, 60)
    found = world.tracked(hub.node) - before
    print(f"\n{sent} connections from 6,000 addresses, {found} more tracked")
    assert (sent, found > 0) == ("24000", True)
    # From one port to one address: one of the 64 lists that the router has, with 256 places at most.
    assert found < 256 + 500
    assert world.connections(world.carol) == CONNECTIONS


_AS_MANY = """
import socket, struct, sys
target, count = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(count):
    # IP_PKTINFO (8) of ip(7), which has the source as its second field.
    source = struct.pack("=i4s4s", 0, bytes([10, 20, number % 24, number // 24 % 250 + 2]), bytes(4))
    door.sendmsg([b"x"], [(socket.IPPROTO_IP, 8, source)], 0, (target, 10000 + number % 50000))
print(count, flush=True)
"""


def test_questions_of_a_device_are_limited_and_a_page_is_not(world: World) -> None:
    lab, hub = world.lab, world.hub
    serve_dns(lab, lab.outside, {f"h{number:03}.example.com": "93.184.215.14" for number in range(1000)})
    hub.resolver = {
        "domain": "office.vpn.example.net",
        "public_addresses": [],
        "upstreams": [OUTSIDE_V4],
        "domains": [],
        "domain_servers": [],
        "records": [],
    }
    hub.apply_next()

    def answered(node: Node, count: int, rate: int, patience: float) -> int:
        argv = ["python3", "-S", "-c", _ASK_MANY, hub.v4, str(count), str(rate), str(patience)]
        return int(lab.run(node, argv, timeout=120).stdout)

    # A page with fifty names, asked for within a moment: A, AAAA and HTTPS of each.
    assert answered(world.carol, 150, 2000, 20) == 150
    started = time.monotonic()
    passed = answered(world.mallory, 3000, 600, 2)
    took = time.monotonic() - started
    print(f"\n{passed} of 3,000 questions answered in {took:.1f} s")
    assert passed < 500 + 50 * (took + 1)
    assert answered(world.carol, 30, 100, 20) == 30


def _added(hub: Hub) -> Device:
    device = hub.add()
    hub.apply_next()
    return device
