"""DNS in the laboratory: servers with a log of what they were asked, and clients that ask.

A server is a dnsmasq that knows what it is told and nothing else. Its log tells what has reached it, so that a test can
say what has not.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, Node
from tests.lab.waiting import wait_until
from vpn.wire.documents import ResolverDocument

# Asks one thing after the other, each until it is answered, as stub resolvers do.
_ASK: Final = """
import json, signal, socket, struct, sys, time
server, names, patience = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3])
def question(name, number):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + labels + bytes(1) + struct.pack(">HH", 1, 1)
found = {"asked": 0, "retries": 0, "most_retries": 0, "unanswered": 0, "longest": 0.0}
going = True
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
family = socket.AF_INET6 if ":" in server else socket.AF_INET
print("ready", flush=True)
while going:
    found["asked"] += 1
    number = found["asked"] & 0xFFFF
    door = socket.socket(family, socket.SOCK_DGRAM)
    door.connect((server, 53))
    door.settimeout(patience)
    started, answered = time.monotonic(), None
    for attempt in range(4):
        try:
            door.send(question(names[found["asked"] % len(names)], number))
            answered = door.recv(2048)
        except (ConnectionRefusedError, TimeoutError):
            continue
        break
    door.close()
    found["retries"] += attempt
    found["most_retries"] = max(found["most_retries"], attempt)
    found["longest"] = max(found["longest"], time.monotonic() - started)
    good = answered and answered[:2] == struct.pack(">H", number) and answered[3] & 15 == 0 and answered[7] > 0
    found["unanswered"] += not good
    # A hub lets a device ask 50 questions a second in the long run, and two of these may run on it.
    if found["asked"] > 150:
        time.sleep(max(0.0, started + 1 / 20 - time.monotonic()))
print(json.dumps(found), flush=True)
"""


def resolver(hub: Hub) -> ResolverDocument:
    """A resolver of the hub's own names."""
    return {
        "domain": f"{hub.hub}.vpn.example.net",
        "public_addresses": [],
        "upstreams": [OUTSIDE_V4],
        "domains": [],
        "domain_servers": [],
        "records": [],
    }


@dataclass(frozen=True)
class Answer:
    """What a server said: its status (`NOERROR`, `NXDOMAIN`, ...; empty where none answered), and what it answered."""

    status: str
    values: tuple[str, ...]


def ask(lab: Lab, node: Node, server: str, name: str, kind: str = "A", *options: str) -> Answer:
    """Ask `server` from `node` with dig(1), once."""
    argv = ["dig", "+tries=1", "+time=2", *options, f"@{server}", name, kind]
    lines = lab.run(node, argv, check=False).stdout.splitlines()
    status = next((found[1] for line in lines if (found := re.search(r"status: (\w+)", line))), "")
    records = [line.split(None, 4) for line in lines if line and not line.startswith(";")]
    return Answer(status, tuple(sorted(f"{fields[3]} {fields[4]}".rstrip(".") for fields in records)))


def ask_reverse(lab: Lab, node: Node, server: str, address: str) -> Answer:
    """Ask whose an address is."""
    return ask(lab, node, server, "-x", address)


@dataclass(frozen=True)
class DnsServer:
    """A server that runs. Made by `serve_dns`."""

    process: subprocess.Popen[str]
    log: Path

    def asked(self) -> list[str]:
        """Return the names that it was asked for so far, each with the type: `A www.example.com`."""
        return [f"{kind} {name}" for kind, name in re.findall(r"query\[(\w+)\] (\S+) from", self.log.read_text())]

    def asked_about(self, zone: str) -> list[str]:
        """Return what it was asked in `zone`."""
        return [question for question in self.asked() if question.endswith((f" {zone}", f".{zone}"))]


def serve_dns(
    lab: Lab,
    node: Node,
    records: Mapping[str, str | Sequence[str]],
    addresses: Sequence[str] = (),
    others: Sequence[str] = (),
) -> DnsServer:
    """Answer for `records` (addresses by name, a name by the reverse name of an address) on `node`, until the end.

    It listens on the node's own addresses, or on `addresses` alone. `others` are records as dnsmasq's `dns-rr` takes
    them: a name, the number of the type, and the data in hexadecimal digits.
    """
    number = len(list(lab.directory.glob("dns-*.conf")))
    config, log = lab.directory / f"dns-{number}.conf", lab.directory / f"dns-{number}.log"
    lines = ["no-resolv", "no-hosts", "bind-interfaces", "keep-in-foreground", "pid-file=", "user=root", "local=/#/"]
    lines += [f"log-facility={log}", "log-queries"]
    lines += [f"listen-address={address}" for address in addresses or (node.v4, node.v6)]
    lines += [f"dns-rr={record}" for record in others]
    for name, values in records.items():
        for value in [values] if isinstance(values, str) else values:
            reverse = name.endswith((".in-addr.arpa", ".ip6.arpa"))
            lines.append(f"ptr-record={name},{value}" if reverse else f"host-record={name},{value}")
    config.write_text("".join(f"{line}\n" for line in lines))
    process = lab.start(node, ["dnsmasq", f"--conf-file={config}"])
    wait_until(lambda: log.exists() and "started" in log.read_text(), 5, f"the DNS server on {node.name}")
    return DnsServer(process, log)


@dataclass(frozen=True)
class Asked:
    """What became of questions that were asked all the time."""

    asked: int
    retries: int
    most_retries: int  # for one question
    unanswered: int  # also those that were answered with an error, or with nothing
    longest: float  # seconds


class Asking:
    """Questions that go on until `stop()`. Made by `start_asking`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def stop(self) -> Asked:
        """Ask no more and return what became of the questions."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        asked = Asked(**json.loads(self.process.stdout.readline()))
        self.process.wait(30)
        return asked


def start_asking(lab: Lab, node: Node, server: str, names: Sequence[str], patience: float = 1.0) -> Asking:
    """Ask `server` for the IPv4 addresses of `names`, one after the other; after `patience` seconds once more."""
    argv = [sys.executable, "-S", "-c", _ASK, server, ",".join(names), str(patience)]
    process = lab.start(node, argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return Asking(process)
