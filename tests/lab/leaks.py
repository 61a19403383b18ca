"""Watches a device's way onto the internet for everything that is not the tunnel itself.

with watching(lab, laptop, [("udp", lab.host.v4, 20000)]) as watcher:
    ...
assert watcher.seen() == []
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until

Endpoint = tuple[str, str, int]  # "udp" or "tcp", address, port

# Every packet, whichever way it goes. Left out are the tunnel's, errors about them, and what the link itself needs to
# find its neighbours and routers (ARP, RFC 4861, RFC 3810): nothing of a user is in those.
_WATCH: Final = """
import ipaddress, socket, sys
PROTOCOLS = {6: "tcp", 17: "udp"}
endpoints = set(sys.argv[2:])
def parse(packet):
    "(protocol, source, destination, rest of the packet) of an IP packet."
    if packet[0] >> 4 == 4:
        return packet[9], packet[12:16], packet[16:20], packet[(packet[0] & 15) * 4:]
    protocol, rest = packet[6], packet[40:]
    while protocol in (0, 43, 60):
        protocol, rest = rest[0], rest[(rest[1] + 1) * 8:]
    return protocol, packet[8:24], packet[24:40], rest
def ends(packet):
    protocol, source, destination, rest = parse(packet)
    name, ports = PROTOCOLS.get(protocol, str(protocol)), (0, 0)
    if protocol in PROTOCOLS and len(rest) >= 4:
        ports = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
    return [f"{name} {ipaddress.ip_address(each)} {port}" for each, port in zip((source, destination), ports)]
def is_ours(packet):
    if endpoints.intersection(ends(packet)):
        return True
    protocol, _, _, rest = parse(packet)
    if protocol == 1 and rest[0] in (3, 11) or protocol == 58 and rest[0] < 128:
        return is_ours(rest[8:])
    return protocol == 58 and (130 <= rest[0] <= 137 or rest[0] == 143)
door = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
door.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    packet, about = door.recvfrom(65535)
    if about[1] in (0x0800, 0x86DD) and not is_ours(packet):
        print(" -> ".join(ends(packet)), flush=True)
"""


class Watcher:
    """What was seen. Made by `watching`."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process, self.output = process, output

    def seen(self) -> list[str]:
        """Return the packets that were not the tunnel's, as `udp 192.0.2.2 4242 -> udp 198.51.100.10 53`."""
        assert self.process.poll() is None, "the watcher died"
        return self.output.read_text().splitlines()[1:]


@contextmanager
def watching(lab: Lab, node: Node, endpoints: Sequence[Endpoint], device: str = "eth0") -> Iterator[Watcher]:
    """Watch a device's link inside the `with` block, for all but what goes to and comes from the tunnel's ends."""
    output = lab.directory / f"leaks-{node.name}"
    words = [" ".join(map(str, endpoint)) for endpoint in endpoints]
    with output.open("w") as stream:
        process = lab.start(node, [sys.executable, "-c", _WATCH, device, *words], stdout=stream)
    wait_until(lambda: output.read_text().startswith("ready\n"), 5, "the watcher")
    try:
        yield Watcher(process, output)
    finally:
        process.kill()
        process.wait(5)
