"""Processes that test listeners, from the host itself or from a network namespace outside of it.

A packet from the host to its own address takes `lo`, which firewalls usually accept. A packet from another namespace,
over a veth pair ("cable"), passes the host's INPUT chain like one from a device. The namespace exists as long as its
process, and the veth pair as long as the namespace, so nothing is left behind.
"""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings

from vpn.drivers import doors
from vpn.wire.session import AgentSession, Pipes, SessionBroken, pipes_of, read_line

logger = logging.getLogger(__name__)

# The end of the range for links between hubs and their host (RFC 2544), which hubs do not use.
_PLACES_V4 = ip_network("198.19.255.0/24")
_PLACES_V6 = ip_network("fdba:5e11:ffff:ffff::/112")
PREFIX = "vk-"
_HOST_MAC, _PLACE_MAC = "02:76:6b:00:00:01", "02:76:6b:00:00:02"
_DOOR = "door"
_START_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_ATTEMPTS = 3


class NoPlace(Exception):
    """The portal may not create a namespace outside of this host, so the test is not possible."""


@dataclass(frozen=True)
class Host:
    """The network namespace with the hubs' sockets: its name, or "" for the machine's own."""

    netns: str

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the argument list that runs a command there."""
        return ["nsenter", f"--net=/run/netns/{self.netns}", *argv] if self.netns else list(argv)

    def addresses(self) -> dict[str, str]:
        """Return the host's global addresses, each with its interface, without those of links to hubs."""
        done = _run(self.argv(["ip", "-j", "address", "show", "up", "scope", "global"]))
        found: dict[str, str] = {}
        for interface in json.loads(done.stdout or "[]"):
            name = interface.get("ifname", "")
            if not name.startswith(("vh-", PREFIX)):
                found |= {entry["local"]: name for entry in interface.get("addr_info", []) if "local" in entry}
        return found


class Post:
    """A process that tests listeners from the host itself, or from `outside` of it. It is kept for the next test."""

    def __init__(self, host: Host, *, outside: bool) -> None:
        self.host = host
        self._outside = outside
        self._session = AgentSession(self._open, attempts=1)
        self._reached: set[str] = set()

    def ask(self, asked: Sequence[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
        """Test doors and return the results. From outside, all doors must be at the host's own addresses.

        Raises NoPlace.
        """
        addresses = {address_of(door) for door in asked}
        if self._outside and not addresses <= self._reached:
            self.close()
            self._reached = addresses
        # Many doors take turns (doors.AT_ONCE).
        seconds = timeout * (1 + len(asked) // doors.AT_ONCE) + _ANSWER_SECONDS
        try:
            answer = self._session.ask({"doors": list(asked), "timeout": timeout}, answer_seconds=seconds)
        except SessionBroken as broken:
            raise NoPlace from broken
        results: list[dict[str, Any]] = answer["results"]
        return results

    def close(self) -> None:
        """End the process and its namespace; the next test starts another."""
        self._session.close()
        self._reached = set()

    def close_idle(self, seconds: float) -> None:
        """End the process if it was not used for so long."""
        self._session.close_idle(seconds)

    def _open(self) -> Pipes:
        """Start the process, from outside with routes to the addresses that it has to reach."""
        process = _started(self.host.argv(["unshare", "--net", "--"] if self._outside else []))
        pipes = pipes_of(process)
        cable = ""

        def end() -> None:
            pipes.end()
            if cable:
                # The veth pair would disappear with its namespace, but a little later.
                _run(self.host.argv(["ip", "link", "delete", "dev", cable]))

        try:
            read_line(pipes, _START_SECONDS)
            if self._outside:
                cable = _lay_cable(self.host, process.pid, self._reached)
        except BaseException:
            end()
            raise
        return Pipes(pipes.answers, pipes.requests, end)


class Posts:
    """Both processes that test the hubs of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.inside = Post(host, outside=False)
        self.outside = Post(host, outside=True)

    def close(self) -> None:
        """End both processes."""
        self.inside.close()
        self.outside.close()

    def close_idle(self, seconds: float) -> None:
        """End those of both processes that were not used for so long."""
        self.inside.close_idle(seconds)
        self.outside.close_idle(seconds)


def _started(before: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - an argument list of our own
        [*before, sys.executable, "-m", "vpn.drivers.doors"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
    )


def _lay_cable(host: Host, pid: int, addresses: set[str]) -> str:
    """Connect the namespace of a process to the host and return the host's interface. Raises NoPlace."""
    for _ in range(_ATTEMPTS):
        name = f"{PREFIX}{secrets.token_hex(4)}"
        fault = _try_cable(host, name, pid, addresses)
        if not fault:
            return name
        # Another portal may use this number.
        _run(host.argv(["ip", "link", "delete", "dev", name]))
    logger.warning("No network namespace outside of the host: %s", fault)
    raise NoPlace


def _try_cable(host: Host, name: str, pid: int, addresses: set[str]) -> str:
    """Create the veth pair; return "" or the fault. The host's end has no address, as with any client."""
    number = 1 + secrets.randbelow(253)
    here = {4: str(_PLACES_V4[number]), 6: str(_PLACES_V6[number])}
    families = {ip_address(address).version for address in addresses}
    # Static neighbour entries: a host may not answer ARP for addresses of other interfaces (arp_ignore).
    outer = [
        f"link add {name} address {_HOST_MAC} type veth peer name {_DOOR} address {_PLACE_MAC} netns {pid}",
        f"link set dev {name} addrgenmode none",
        f"link set dev {name} up",
    ]
    inner = [f"link set dev {_DOOR} addrgenmode none", f"link set dev {_DOOR} up"]
    for family in sorted(families):
        length = 32 if family == 4 else 128
        outer.append(f"route add {here[family]}/{length} dev {name}")
        outer.append(f"neighbour replace {here[family]} lladdr {_PLACE_MAC} nud permanent dev {name}")
        inner.append(f"address add {here[family]}/{length} dev {_DOOR}{' nodad' if family == 6 else ''}")
    for address in sorted(addresses):
        inner.append(f"route add {address} dev {_DOOR}")
        inner.append(f"neighbour replace {address} lladdr {_HOST_MAC} nud permanent dev {_DOOR}")
    for argv, lines in ((host.argv([]), outer), (["nsenter", "-t", str(pid), "--net"], inner)):
        done = _run([*argv, "ip", "-batch", "-"], "\n".join(lines) + "\n")
        if done.returncode != 0:
            return done.stderr.strip()[:200] or "ip failed"
    return ""


def address_of(door: dict[str, Any]) -> str:
    """Return the address of a door."""
    return str(door["wireguard"]["endpoint_host"] if "wireguard" in door else door["openvpn"]["host"])


def _run(argv: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(argv), 127, "", type(error).__name__)
