"""TCP connections between peers, as conntrack knows them: taken along when a hub moves to another server.

A hub that does not know a connection drops its packets (see `tracking`). The rules decide again on each that is added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from vpn.agent.firewall.tracking import TIMEOUTS
from vpn.agent.system.command import Netns
from vpn.wire.forwarding import MOST_FLOWS, Flow

_FAMILIES: Final = ("ipv4", "ipv6")
_TUPLES: Final = re.compile(
    r"ESTABLISHED src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
)
_LASTS: Final = TIMEOUTS["net.netfilter.nf_conntrack_tcp_timeout_established"]


def established(inside: Netns) -> list[Flow]:
    """Return the established connections that pass a hub untranslated."""
    found: list[Flow] = []
    for family in _FAMILIES:
        listed = inside.try_run(["conntrack", "-L", "-f", family, "-p", "tcp", "--state", "ESTABLISHED"]).out
        found += _parse(listed)
    return found[:MOST_FLOWS]


def add(inside: Netns, flows: Iterable[Flow]) -> None:
    """Add connections to a hub. Those that it knows already stay as they are."""
    text = "".join(map(_line, flows))
    if text:
        inside.try_run(["conntrack", "-R", "-"], text)


def _parse(listed: str) -> Iterator[Flow]:
    for source, destination, *numbers in _TUPLES.findall(listed):
        sport, dport = int(numbers[0]), int(numbers[1])
        if numbers[2:] == [destination, source, str(dport), str(sport)]:
            yield source, destination, sport, dport


def _line(flow: Flow) -> str:
    source, destination, sport, dport = flow
    return (
        f"-A -t {_LASTS} -u SEEN_REPLY,ASSURED -s {source} -d {destination} -r {destination} -q {source} -p tcp "
        f"--sport {sport} --dport {dport} --reply-port-src {dport} --reply-port-dst {sport} --state ESTABLISHED\n"
    )
