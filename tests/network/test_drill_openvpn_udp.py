"""Beginnings of sessions by the thousand come to OpenVPN's port over UDP, from addresses that are made up.

A stranger has no key that the listener knows; a device's own key opens more. Meanwhile somebody connects, and who is
connected goes on. Short by itself; `DRILL=1` sends more, for longer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.authority import tls_crypt_v2_keys
from tests.lab.flooding import Talker, talker
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.drivers.proof import openvpn_reset
from vpn.drivers.proof.openvpn_reset import Reset

LONG = bool(os.environ.get("DRILL"))
PACE = 20_000 if LONG else 6_000  # packets a second, where the processor has room for them
LEAST = 400_000 if LONG else 20_000  # packets, before it is measured
CONNECTS = 120  # seconds that a newcomer may take on a busy machine
MOST_MEMORY = 256 << 20

# Sends one message from another address and port each time (ip(7), IPPROTO_RAW), and says at each line how often.
_SPOOF = """
import random, selectors, socket, struct, sys, time
target, port, rate, message = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
door = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
waiting = selectors.DefaultSelector()
waiting.register(sys.stdin, selectors.EVENT_READ)
ports, length, there = struct.Struct("!HHHH"), 8 + len(message), socket.inet_aton(target)
header, sent, due = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0), 0, time.monotonic()
print("ready", flush=True)
while True:
    if waiting.select(0.002):
        if not sys.stdin.readline():
            break
        print(sent, flush=True)
    now = time.monotonic()
    due = max(due, now - 0.05)
    while due < now:
        due += 1 / rate
        source = bytes((45, *random.randbytes(3)))
        udp = ports.pack(random.randrange(1024, 65536), port, length, 0)
        try:
            door.sendto(header + source + there + udp + message, (target, 0))
        except OSError:
            continue
        sent += 1
"""

# Sends a message so many times, each time from another port, and says how many were answered.
_ASK = """
import select, socket, sys, time
target, port, count, message = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
doors, answered = [], 0
def look(seconds):
    global answered
    for door in select.select(doors, [], [], seconds)[0]:
        answered += 1
        doors.remove(door)
        door.close()
for _ in range(count):
    doors.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    doors[-1].connect((target, port))
    doors[-1].send(message)
    look(0.02)
heard = time.monotonic()
while doors and time.monotonic() - heard < 5:
    before = answered
    look(0.1)
    heard = heard if answered == before else time.monotonic()
print(answered)
"""
NEWCOMERS = 100


@dataclass(frozen=True)
class World:
    lab: Lab
    hub: Hub
    alice: Node
    mallory: Node

    @property
    def process(self) -> int:
        """The process of the listener."""
        return int((self.lab.state / self.hub.hub / "openvpn" / "run" / "udp.pid").read_text())

    def memory(self) -> int:
        """Return the memory of the listener in bytes."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def processor(self) -> float:
        """Return how many seconds of a processor the listener has used."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def answered(self, node: Node, message: bytes) -> int:
        """Return how many of a hundred newcomers are answered that begin at a machine."""
        assert self.hub.authority is not None
        argv = ["python3", "-S", "-c", _ASK, self.lab.host.v4, str(self.hub.authority.port), str(NEWCOMERS)]
        return int(self.lab.run(node, [*argv, message.hex()], timeout=120).stdout)

    def flood(self, message: bytes) -> Talker:
        """Return what sends a message to the listener."""
        assert self.hub.authority is not None
        port = str(self.hub.authority.port)
        return talker(self.lab, self.mallory, _SPOOF, self.lab.host.v4, port, str(PACE), message.hex())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent)
        alice, mallory = lab.add_client("alice"), lab.add_client("mallory")
        hub.connect_openvpn(alice, transport="udp")
        yield World(lab, hub, alice, mallory)
        agent.close()


def _without_cookie(client_key: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return the reset of a client before OpenVPN 2.6, which the listener has to keep a state for at once."""
    monkeypatch.setattr(openvpn_reset, "_STATELESS", 1)
    return Reset(client_key).message


@pytest.mark.parametrize("kind", ["stranger", "device", "old-device"])
def test_newcomers_connect_while_resets_come_from_everywhere(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, hub = world.lab, world.hub
    assert hub.authority is not None
    client_key = hub.authority.client_key
    beginning = Reset(client_key).message
    message = {
        "stranger": lambda: Reset(tls_crypt_v2_keys()[1]).message,
        "device": lambda: beginning,
        "old-device": lambda: _without_cookie(client_key, monkeypatch),
    }[kind]()
    process, before, used = world.process, world.memory(), world.processor()
    newcomer, device = lab.add_client(f"bob-{kind}"), hub.add_openvpn()
    hub.apply_next()
    ping = lab.start_ping(world.alice, hub.v4, 0.1)
    ping.wait_for_replies(3, 60)
    attack = world.flood(message)
    try:
        started = time.monotonic()
        wait_until(lambda: int(attack.ask("")) > LEAST, 600, "the flood")
        connecting = time.monotonic()
        lab.openvpn_up(newcomer, hub.openvpn_profile(device), seconds=CONNECTS, transport="udp")
        lab.wait_ping(newcomer, hub.v4, 60)
        connected = time.monotonic() - connecting
        ping.wait_for_replies(5, 60)
        # What a client of 2.6 begins with; it tries again after two seconds, and once more after four.
        answered = world.answered(newcomer, beginning)
        sent, took = int(attack.ask("")), time.monotonic() - started
        grown, used = world.memory() - before, world.processor() - used
        tracked = int(lab.run(lab.host, ["conntrack", "-C"]).stdout)
    finally:
        attack.close()
        found = ping.stop()
    print(
        f"\n{kind}: {sent} resets in {took:.1f} s; connected in {connected:.1f} s,"
        f" {answered} of {NEWCOMERS} first packets answered; {grown >> 20} MB more,"
        f" {used:.1f} s of a processor, {tracked} tracked on the host;"
        f" {found.lost} of {found.received + found.lost} pings lost, longest gap {found.longest_gap:.1f} s"
    )
    assert world.process == process
    assert answered > NEWCOMERS * 0.3
    assert grown < MOST_MEMORY
    assert found.received > 10
