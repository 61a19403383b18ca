"""Strangers without a key hold OpenVPN's connections over TCP: the hub's memory lasts, and its peers go on.

Short by itself; `DRILL=1` comes with more connections from more addresses, and waits until the hub has closed them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.flooding import Talker, talker
from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until

LONG = bool(os.environ.get("DRILL"))
SOURCES = 20 if LONG else 6
EACH = 950 if LONG else 150  # connections from one address, which many a root may have as descriptors (20,000)
SOURCE_ADDRESSES = [f"203.0.113.{150 + number}" for number in range(SOURCES)]
OTHER_ADDRESSES = [f"203.0.113.{200 + number}" for number in range(6)]
# From one address come sixty at once, then three a second; a handshake has thirty seconds.
BURST, PACE, HANDSHAKE = 60, 3, 30
LONGEST_LOG = 1 << 20

# Opens connections from many addresses, holds them, and says at each line how many the other side has not closed.
_HOLD = """
import resource, selectors, socket, sys
target, port, each, sources = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split(",")
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
family = socket.AF_INET6 if ":" in target else socket.AF_INET
held = selectors.DefaultSelector()
print("ready", flush=True)
def look():
    for key, events in held.select(0):
        door, is_open = key.fileobj, key.data
        try:
            if not is_open and events & selectors.EVENT_WRITE:
                if door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError
                held.modify(door, selectors.EVENT_READ, True)
            elif not door.recv(65536):
                raise OSError
        except OSError:
            held.unregister(door)
            door.close()
    return sum(key.data for key in held.get_map().values())
for line in sys.stdin:
    if line.startswith("open"):
        for number in range(each):
            for source in sources:
                door = socket.socket(family, socket.SOCK_STREAM)
                door.setblocking(False)
                door.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
                door.bind((source, 0))
                door.connect_ex((target, port))
                held.register(door, selectors.EVENT_WRITE | selectors.EVENT_READ, False)
            look()
    print(look(), flush=True)
"""


@dataclass(frozen=True)
class World:
    lab: Lab
    agent: Agent
    hub: Hub
    alice: Node
    mallory: Node

    def pid(self, listener: str = "tcp") -> int:
        """Return the process of a listener, or 0."""
        path = self.lab.state / self.hub.hub / "openvpn" / "run" / f"{listener}.pid"
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            text = ""
        return int(text) if text.isdecimal() and Path(f"/proc/{text}").exists() else 0

    def log(self, listener: str = "tcp") -> Path:
        """Return where a listener writes what it has to say."""
        return next((self.lab.state / self.hub.hub / "openvpn").rglob(f"{listener}.log"))

    def held(self) -> int:
        """Return how many connections to the listener the host has, those of the two peers among them."""
        assert self.hub.authority is not None
        listing = ["ss", "-Htn", "state", "established", "sport", "=", f":{self.hub.authority.port}"]
        return len(self.lab.run(self.lab.host, listing).stdout.splitlines())

    def limit(self, name: str) -> int:
        """Return a limit of the listener over TCP in bytes, by its name in proc(5)."""
        text = Path(f"/proc/{self.pid()}/limits").read_text()
        return int(next(line[26:].split()[0] for line in text.splitlines() if line.startswith(name)))

    def lower(self, option: str, size: int) -> None:
        """Lower a limit of the listener over TCP, as its user: an option of prlimit(1), and bytes."""
        owner = os.stat(f"/proc/{self.pid()}")
        user = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        subprocess.run([*user, "prlimit", "--pid", str(self.pid()), f"--{option}={size}:"], check=True)

    def memory(self, name: str = "VmRSS", listener: str = "tcp") -> int:
        """Return the memory of a listener in bytes."""
        lines = Path(f"/proc/{self.pid(listener)}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent)
        alice, mallory = lab.add_client("alice"), lab.add_client("mallory")
        for address in (*SOURCE_ADDRESSES, *OTHER_ADDRESSES):
            lab.add_address(mallory, f"{address}/24", "eth0")
        hub.connect_openvpn(alice, transport="tcp")
        yield World(lab, agent, hub, alice, mallory)
        agent.close()


def strangers(world: World, addresses: list[str]) -> Talker:
    """Return what holds connections to the listener from some of Mallory's addresses."""
    assert world.hub.authority is not None
    port = str(world.hub.authority.port)
    return talker(world.lab, world.mallory, _HOLD, world.lab.host.v4, port, str(EACH), ",".join(addresses))


def test_a_listener_without_memory_is_started_anew_and_its_peers_come_back(world: World) -> None:
    lab, hub = world.lab, world.hub
    with Watch(world.agent):
        before = world.pid()
        bounded = world.limit("Max data size")
        assert 0 < bounded < 1 << 30
        world.lower("data", world.memory("VmData") + (2 << 20))
        attack = strangers(world, OTHER_ADDRESSES)
        try:
            attack.ask("open")
            wait_until(lambda: world.pid() not in (0, before), 120, "another process of the listener")
        finally:
            attack.close()
        assert world.limit("Max data size") == bounded
        lab.wait_ping(world.alice, hub.v4, 120)


def test_peers_go_on_while_strangers_hold_connections(world: World) -> None:
    lab, hub = world.lab, world.hub
    before, process = world.memory(), world.pid()
    ping = lab.start_ping(world.alice, hub.v4, 0.2)
    ping.wait_for_replies(3, 60)
    attack = strangers(world, SOURCE_ADDRESSES)
    try:
        started = time.monotonic()
        attack.ask("open")
        wait_until(lambda: int(attack.ask("")) > SOURCES * BURST * 0.8, 60, "the strangers' connections")
        bob = lab.add_client("bob")
        device = hub.add_openvpn()
        hub.apply_next()
        lab.openvpn_up(bob, hub.openvpn_profile(device), seconds=90, transport="tcp")
        lab.wait_ping(bob, hub.v4, 60)
        ping.wait_for_replies(5, 60)
        held, took = int(attack.ask("")), time.monotonic() - started
        grown = world.memory() - before
        written = world.log().stat().st_size
        print(
            f"\n{SOURCES * EACH} connections tried from {SOURCES} addresses, {held} held after {took:.0f} s;"
            f" memory {before >> 20} MB and {grown >> 20} MB more, {written} bytes of log"
        )
        assert held <= SOURCES * (BURST + PACE * (took + 1))
        assert grown < 256 << 20
        assert written < LONGEST_LOG
        assert world.pid() == process
        if LONG:
            # As the host sees it: what overflowed the listener's queue, the strangers take for open for ever.
            wait_until(lambda: world.held() <= 2, 10 * HANDSHAKE, "the end of all unfinished handshakes")
            print(f"all closed after {time.monotonic() - started:.0f} s; the strangers take {attack.ask('')} for open")
    finally:
        attack.close()
        found = ping.stop()
    print(
        f"the peer's longest gap: {found.longest_gap:.1f} s, {found.lost} of {found.received + found.lost} pings lost"
    )
    assert found.received > 5


def test_a_log_that_is_full_ends_nothing(world: World) -> None:
    lab, hub = world.lab, world.hub
    process, log = world.pid(), world.log()
    assert world.limit("Max file size") == LONGEST_LOG
    most = log.stat().st_size + 4096
    world.lower("fsize", most)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as management:
        management.settimeout(20)
        management.connect(str(next((lab.state / hub.hub / "openvpn").rglob("tcp.sock"))))
        management.sendall(b"verb 9\n")
        wait_until(lambda: lab.ping(world.alice, hub.v4) and log.stat().st_size >= most, 60, "a full log")
        management.sendall(b"verb 0\n")
    assert lab.ping(world.alice, hub.v4, count=5, timeout=10)
    assert (world.pid(), log.stat().st_size) == (process, most)
