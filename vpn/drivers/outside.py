"""A place outside of the host's loopback: a network namespace that lives as long as one process, on a cable of its own.

A packet from the host to its own address takes `lo`, which no firewall stops. One that comes over the cable passes the
host's INPUT chain, as a device's does. The cable ends with the namespace, and that with its process: nothing is left,
however it ends.
"""

from __future__ import annotations

import json
import logging
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings

from vpn.drivers import doors

logger = logging.getLogger(__name__)

# The end of the range of links between hubs and their host (RFC 2544), which hubs never come near.
_PLACES_V4 = ip_network("198.19.255.0/24")
_PLACES_V6 = ip_network("fdba:5e11:ffff:ffff::/112")
PREFIX = "vk-"
_HOST_MAC, _PLACE_MAC = "02:76:6b:00:00:01", "02:76:6b:00:00:02"
_DOOR = "door"
_START_SECONDS = 10.0


class NoPlace(Exception):
    """There can be no place outside of this host: the portal may not make one."""


@dataclass(frozen=True)
class Host:
    """The network namespace in which hubs listen: its name, or "" for the machine's own."""

    netns: str

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs a command there."""
        return ["nsenter", f"--net=/run/netns/{self.netns}", *argv] if self.netns else list(argv)

    def addresses(self) -> dict[str, str]:
        """The host's global addresses, each with its interface; without those of links to hubs."""
        done = _run(self.argv(["ip", "-j", "address", "show", "scope", "global"]))
        found: dict[str, str] = {}
        for interface in json.loads(done.stdout or "[]"):
            name = interface.get("ifname", "")
            if not name.startswith(("vh-", PREFIX)):
                found |= {entry["local"]: name for entry in interface.get("addr_info", []) if "local" in entry}
        return found


def knock_from_host(host: Host, asked: Sequence[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
    """Knock on doors from the host itself."""
    with _started(host.argv([])) as process:
        return _answers(process, asked, timeout)


def knock_from_outside(host: Host, asked: Sequence[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
    """Knock on doors, all at the host's own addresses, from a place outside. Raises NoPlace."""
    with _started([*host.argv([]), "unshare", "--net", "--"]) as process:
        name = f"{PREFIX}{secrets.token_hex(4)}"
        try:
            _lay_cable(host, name, process.pid, {_address(door) for door in asked})
            return _answers(process, asked, timeout)
        finally:
            # With its namespace it would go too, but a little later.
            _run(host.argv(["ip", "link", "delete", "dev", name]))


@contextmanager
def _started(before: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that knocks once it is told where; raises NoPlace where it cannot be started."""
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own
        [*before, sys.executable, "-m", "vpn.drivers.doors"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - opened with pipes
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        if not ready or process.stdout.readline().strip() != doors.READY.encode():
            raise NoPlace
        yield process
    finally:
        process.kill()
        process.communicate()


def _answers(process: subprocess.Popen[bytes], asked: Sequence[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
    request = json.dumps({"doors": list(asked), "timeout": timeout}).encode()
    # Many doors take turns (doors._AT_ONCE): the limit is the job's, well above.
    try:
        out, _ = process.communicate(request, timeout=timeout * (1 + len(asked) // 64) + 5)
        found: list[dict[str, Any]] = json.loads(out)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise NoPlace from error
    return found


def _lay_cable(host: Host, name: str, pid: int, addresses: set[str]) -> None:
    """Join the namespace of a process to the host. The host's end has no address: it answers as it would a stranger."""
    number = 1 + secrets.randbelow(253)
    here = {4: str(_PLACES_V4[number]), 6: str(_PLACES_V6[number])}
    families = {ip_address(address).version for address in addresses}
    # Neighbours are written down: a host may refuse to answer for addresses of other interfaces (arp_ignore).
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
            logger.warning("No place outside of the host: %s", done.stderr.strip()[:200])
            raise NoPlace


def _address(door: dict[str, Any]) -> str:
    return str(door["wireguard"]["endpoint_host"] if "wireguard" in door else door["openvpn"]["host"])


def _run(argv: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(argv), 127, "", type(error).__name__)
