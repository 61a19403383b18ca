"""Rules as bit masks: those that match an end, a protocol, a port. The lowest common bit is the first match."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import xor

from vpn.reach.table import Table
from vpn.wire.rules import ANY, TAG, Rule

ACCEPT = "accept"
TCP, UDP, ICMP, ICMPV6 = "tcp", "udp", "icmp", "icmpv6"
# All other protocols: GRE, ESP and so on.
OTHER = "other"
PROTOCOLS = (TCP, UDP, ICMP, ICMPV6, OTHER)
WITH_PORTS = (TCP, UDP)
FIRST_PORT, LAST_PORT = 1, 65535
# The port that is always blocked towards the internet.
SMTP = 25


class Ends:
    """The sources or the destinations of all rules, as bit masks."""

    def __init__(self, ends: Iterable[str]) -> None:
        self.any = 0
        self.by_tag: dict[str, int] = {}
        self.by_network: dict[str, int] = {}
        for number, end in enumerate(ends):
            bit = 1 << number
            if end == ANY:
                self.any |= bit
            elif TAG.fullmatch(end):
                self.by_tag[end] = self.by_tag.get(end, 0) | bit
            else:
                self.by_network[end] = self.by_network.get(end, 0) | bit
        self._networks: Table[int] = Table()
        for network, bits in self.by_network.items():
            self._networks.put(network, bits)

    def tagged(self, tags: Iterable[str]) -> int:
        """Return the rules with `any`, or with one of the tags."""
        bits = self.any
        for tag in tags:
            bits |= self.by_tag.get(tag, 0)
        return bits

    def around(self, version: int, address: int) -> int:
        """Return the rules with a network that contains an address."""
        bits = 0
        for some in self._networks.around(version, address):
            bits |= some
        return bits


class Rulebook:
    """An indexed list of rules: bit n stands for rule n."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.sources = Ends(rule.source for rule in rules)
        self.destinations = Ends(rule.destination for rule in rules)
        self.accepting = sum(1 << number for number, rule in enumerate(rules) if rule.action == ACCEPT)
        self._of_protocol = {protocol: _bits(rules, protocol) for protocol in PROTOCOLS}
        self.starts = _starts(rules)
        self._ports = {number: rule.ports for number, rule in enumerate(rules) if rule.ports is not None}
        self._with_ports = sum(1 << number for number in self._ports)
        self._by_start = {protocol: self._by_ports(protocol) for protocol in WITH_PORTS}

    def _by_ports(self, protocol: str) -> list[int]:
        """Return the rules for each range of ports between `starts`."""
        concerned = self._of_protocol[protocol]
        turns = dict.fromkeys(self.starts, 0)
        for number, (first, last) in self._ports.items():
            for start in (first, last + 1):
                if concerned >> number & 1 and start in turns:
                    turns[start] ^= 1 << number
        return list(accumulate(turns.values(), xor, initial=concerned & ~self._with_ports))[1:]

    def of(self, protocol: str, port: int | None = None) -> int:
        """Return the rules for a protocol and, if it has ports, a destination port."""
        if protocol not in WITH_PORTS or port is None:
            return self._of_protocol[protocol]
        return self._by_start[protocol][bisect_right(self.starts, port) - 1]

    def starts_of(self, bits: int, *, with_smtp: bool) -> list[int]:
        """Return the ports at which the result of these rules may change.

        If SMTP is one of them, the port after it is too. `with_smtp` adds SMTP.
        """
        starts = {FIRST_PORT, SMTP} if with_smtp else {FIRST_PORT}
        bits &= self._with_ports
        while bits:
            lowest = bits & -bits
            first, last = self._ports[lowest.bit_length() - 1]
            starts |= {first, last + 1}
            bits ^= lowest
        if SMTP in starts:
            starts.add(SMTP + 1)
        return sorted(start for start in starts if start <= LAST_PORT)

    def decides(self, bits: int) -> bool | None:
        """Return True if the first of these rules accepts; None if there is none."""
        return bool(self.accepting & bits & -bits) if bits else None


def _bits(rules: Sequence[Rule], protocol: str) -> int:
    """Return the rules that match a protocol; rules with ports match only TCP and UDP."""
    return sum(
        1 << number
        for number, rule in enumerate(rules)
        if rule.protocol == protocol or (rule.protocol == ANY and (rule.ports is None or protocol in WITH_PORTS))
    )


def _starts(rules: Sequence[Rule]) -> list[int]:
    """Return the ports at which the result may change."""
    starts = {FIRST_PORT}
    for rule in rules:
        if rule.ports is not None:
            starts |= {rule.ports[0], rule.ports[1] + 1}
    return sorted(start for start in starts if start <= LAST_PORT)
