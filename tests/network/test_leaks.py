"""Nothing of a device that sends everything is seen outside its tunnel: while it browses, and while the hub is away."""

from __future__ import annotations

import ipaddress
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.lab.delivered import delivered
from tests.lab.dns import DnsServer, serve_dns
from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.leaks import Endpoint, Watcher, watching
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node
from tests.lab.underlay import add_behind, host_without
from tests.lab.waiting import wait_until

ZONE: Final = "example.com"
# A resolver that protects from rebinding takes the documentation's ranges, which play the internet, for private.
WEB_V4: Final = "93.184.215.14"
WEB_V6: Final = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NAMES: Final = 200
_numbers = itertools.count()
# What a user adds to the file for Debian's openvpn, as the profile's page says.
RESOLVCONF: Final = """script-security 2
setenv IF_EXCLUSIVE yes
up /etc/openvpn/update-resolv-conf
down /etc/openvpn/update-resolv-conf
"""
# A browser, and what else is on a device: each thing is tried, whatever becomes of it, and said where it worked.
_BROWSE: Final = """
import os, socket, subprocess, sys, threading
os.environ["RES_OPTIONS"] = "timeout:1 attempts:2"
name, v4, v6, patience = *sys.argv[1:4], float(sys.argv[4])
def get(host, address):
    with socket.create_connection((address, 80), patience) as door:
        door.settimeout(patience)
        door.sendall(f"GET / HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        while door.recv(4096):
            pass
def look_up(family):
    return socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)[0][4][0]
def say(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.connect((address, port))
        door.send(b"hello")
def ping(address):
    subprocess.run(["ping", "-n", "-c", "1", "-W", str(patience), address], check=True, capture_output=True)
acts = {
    "name over IPv4": lambda: get(name, look_up(socket.AF_INET)),
    "name over IPv6": lambda: get(name, look_up(socket.AF_INET6)),
    "IPv4": lambda: get(v4, v4),
    "IPv6": lambda: get(v6, v6),
    "ping over IPv4": lambda: ping(v4),
    "ping over IPv6": lambda: ping(v6),
    "datagram over IPv4": lambda: [say(v4, port) for port in (53, 123, 443, 40000)],
    "datagram over IPv6": lambda: [say(v6, port) for port in (53, 123, 443, 40000)],
}
def act(what):
    try:
        acts[what]()
        sys.stdout.write(f"{what}{chr(10)}")
    except Exception as error:
        print(f"{what}: {error!r}", file=sys.stderr, flush=True)
threads = [threading.Thread(target=act, args=(what,)) for what in acts]
for each in threads:
    each.start()
for each in threads:
    each.join()
"""
EVERYTHING: Final = frozenset(
    f"{what}IPv{family}" for what in ("", "name over ", "ping over ", "datagram over ") for family in (4, 6)
)


@dataclass(frozen=True)
class World:
    """A hub with a resolver, and an internet with a web server of both families that has a name."""

    lab: Lab
    hub: Hub
    dns: DnsServer


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent)
        for address in (WEB_V4, WEB_V6):
            network = f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
            lab.add_address(lab.outside, network)
            lab.route(lab.internet, network, lab.outside)
            lab.serve_http(lab.outside, address)
        names = {f"n{number}.{ZONE}": (WEB_V4, WEB_V6) for number in range(NAMES)}
        dns = serve_dns(lab, lab.outside, names)
        hub.resolver = {
            "domain": "office.vpn.example.net",
            "public_addresses": [lab.host.v4, lab.host.v6],
            "upstreams": [OUTSIDE_V4, OUTSIDE_V6],
            "domains": [],
            "domain_servers": [],
            "records": [],
        }
        hub.dns = (hub.v4, hub.v6)
        hub.search_domains = ("office.vpn.example.net",)
        hub.add_openvpn()
        hub.apply()
        with Watch(agent):
            yield World(lab, hub, dns)
        agent.close()


def over_wireguard(world: World, node: Node, *hosts: str) -> Callable[[], None]:
    """Connect with wg-quick, as a user of Linux does; returns what kills the hub's side."""
    lab, hub = world.lab, world.hub
    device = hub.add()
    hub.apply_next()
    lab.wg_quick_up(node, delivered(hub, device, hosts, everything=True))
    return lambda: kill(lab, "wireguard-go", hub.interface)


def over_openvpn(world: World, node: Node, *hosts: str) -> Callable[[], None]:
    """Connect with Debian's openvpn and the lines that its users add for DNS; returns what kills the hub's side."""
    lab, hub = world.lab, world.hub
    assert hub.authority is not None
    device = hub.add_openvpn(route_all=True)
    hub.apply_next()
    lab.openvpn_up(node, RESOLVCONF + delivered(hub, device, hosts))
    # The hub sets the device's routes a moment after it is connected, and a browser's first packets are sent once.
    for address in (hub.v4, hub.v6):
        lab.wait_ping(node, address)
    return lambda: kill(lab, "openvpn", f"{hub.hub}/openvpn/udp.conf")


# Seconds. A device over OpenVPN hears from its hub twice a minute when nothing else is said.
BACK_WITHIN: Final = {"wireguard": 30, "openvpn": 75}
CONNECT: Final = {"wireguard": over_wireguard, "openvpn": over_openvpn}


def ends(world: World, hosts: Sequence[str]) -> list[Endpoint]:
    """The hub's ends of the tunnels, as a device's link may show them."""
    assert world.hub.authority is not None
    ports = (("udp", world.hub.port), ("udp", world.hub.authority.port), ("tcp", world.hub.authority.port))
    return [(protocol, host, port) for host in hosts for protocol, port in ports]


def kill(lab: Lab, program: str, argument: str) -> None:
    """Kill the hub's process of this program that has this in its arguments."""
    pids = lab.run(lab.host, ["ip", "netns", "pids", lab.host.netns]).stdout.split()
    for pid in map(int, pids):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue  # it ended meanwhile
        if words[0].endswith(program) and any(word.endswith(argument) for word in words):
            os.kill(pid, signal.SIGKILL)


def with_local_resolver(lab: Lab, name: str) -> Node:
    """A device whose own network gives it a resolver on the link, as nearly every one does."""
    node = add_behind(lab, name)
    router = str(ipaddress.ip_address(node.v4) - 1)
    lab.run(node, ["resolvconf", "-a", "eth0"], stdin=f"nameserver {router}\n")
    return node


def browse(world: World, node: Node, patience: float = 3.0) -> set[str]:
    """Do what people and programs do, all at once; returns what worked."""
    name = f"n{next(_numbers)}.{ZONE}"
    command = [sys.executable, "-S", "-c", _BROWSE, name, WEB_V4, WEB_V6, str(patience)]
    return set(world.lab.run(node, command, timeout=60).stdout.splitlines())


@dataclass(frozen=True)
class Device:
    """A device that sends everything, and what its link shows."""

    node: Node
    watcher: Watcher
    kill_listener: Callable[[], None]


@contextmanager
def connected(world: World, protocol: str, families: str) -> Iterator[Device]:
    """A device that finds the hub over these families, has browsed, and leaked nothing so far."""
    lab = world.lab
    node = with_local_resolver(lab, f"{protocol}{families}")
    hosts = [lab.host.v4 if family == "4" else lab.host.v6 for family in families]
    asked = len(world.dns.asked())
    with watching(lab, node, ends(world, hosts)) as watcher:
        kill_listener = CONNECT[protocol](world, node, *hosts)
        assert browse(world, node) == EVERYTHING
        assert watcher.seen() == []
        assert len(world.dns.asked()) > asked, "the hub asked for it"
        if protocol == "wireguard":
            known = lab.state / world.hub.hub / "endpoints.json"
            own = node.v4 if "4" in families else node.v6
            wait_until(lambda: known.exists() and own in known.read_text(), 10, "the watch to know where the laptop is")
        yield Device(node, watcher, kill_listener)


# Devices over OpenVPN take a minute to notice: they do it at the same time.
@pytest.mark.parametrize(
    ("protocol", "devices"), [("wireguard", ["4"]), ("wireguard", ["6"]), ("openvpn", ["4", "6", "46"])]
)
def test_nothing_is_seen_beside_the_tunnel(world: World, protocol: str, devices: list[str]) -> None:
    with ExitStack() as stack:
        there = {families: stack.enter_context(connected(world, protocol, families)) for families in devices}
        next(iter(there.values())).kill_listener()
        for device in there.values():
            browse(world, device.node, 1.0)
        for families, device in there.items():
            back = partial(lambda node: browse(world, node, 2.0) == EVERYTHING, device.node)
            wait_until(back, BACK_WITHIN[protocol], f"the tunnel over IPv{families} to be back")
            assert device.watcher.seen() == [], families


@pytest.mark.parametrize("missing", [6, 4])
@pytest.mark.parametrize("protocol", list(CONNECT))
def test_a_family_that_the_server_lacks_does_not_leak_either(world: World, protocol: str, missing: int) -> None:
    lab = world.lab
    node = with_local_resolver(lab, f"{protocol}no{missing}")
    there = {what for what in EVERYTHING if f"IPv{missing}" not in what}
    with host_without(lab, missing) as host, watching(lab, node, ends(world, [host.v4 or host.v6])) as watcher:
        CONNECT[protocol](world, node, host.v4 or host.v6)
        worked = browse(world, node)
        assert watcher.seen() == []
    # Sending a datagram is no proof of anything.
    assert worked - {f"datagram over IPv{missing}"} == there


def test_the_watcher_sees_what_leaks(world: World) -> None:
    lab = world.lab
    node = with_local_resolver(lab, "careless")
    with watching(lab, node, []) as watcher:
        browse(world, node, 0.5)
        seen = "\n".join(watcher.seen())
    for leak in (f"tcp {WEB_V4} 80", f"tcp {WEB_V6} 80", f"udp {WEB_V4} 53", f"udp {WEB_V6} 53"):
        assert leak in seen
    router = ipaddress.ip_address(node.v4) - 1
    assert f"udp {router} 53" in seen, "the resolver on the link was asked"
    assert f"1 {WEB_V4} 0" in seen
    assert f"58 {WEB_V6} 0" in seen
