"""The validated firewall rules of a spec, in order: the first match decides.

Source and destination of a rule are `any`, a network, or a tag (`site:<id>`, `user:<id>`, `group:<id>`, `routers`).
Peers have tags, so adding or removing a peer changes no rule. `routers` stands for the tunnel addresses of the peers
that carry it, without the networks behind them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vpn.wire import parsing
from vpn.wire.documents import RuleDocument
from vpn.wire.parsing import UUID, Faults

ANY: Final = "any"
ACTIONS: Final = ("accept", "drop", "reject")
PROTOCOLS: Final = (ANY, "tcp", "udp", "icmp", "icmpv6")
WITH_PORTS: Final = (ANY, "tcp", "udp")
MOST_RULES: Final = 5000

ROUTERS: Final = "routers"
TAG: Final = re.compile(rf"(?:site|user|group):(?:{UUID.pattern})|{ROUTERS}")
# What an agent names among its features if it knows the tag `routers`.
FEATURE: Final = "router-tag"
_FIELDS: Final = frozenset({"id", "action", "protocol", "ports", "source", "destination"})


@dataclass(frozen=True)
class Rule:
    """One rule. `ports` (first, last) are destination ports of TCP and UDP; None for all, and for other protocols."""

    id: str
    action: str
    protocol: str
    ports: tuple[int, int] | None
    source: str
    destination: str

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags in the rule."""
        return tuple(end for end in (self.source, self.destination) if TAG.fullmatch(end))

    def document(self) -> RuleDocument:
        """Return the rule as JSON data."""
        return {
            "id": self.id,
            "action": self.action,
            "protocol": self.protocol,
            "ports": None if self.ports is None else list(self.ports),
            "source": self.source,
            "destination": self.destination,
        }


def parse_rules(value: object, faults: Faults) -> tuple[Rule, ...]:
    """Return the rules that `value` (JSON data) describes; adds to `faults`."""
    if not isinstance(value, list) or len(value) > MOST_RULES:
        faults.append(f"rules is not a list of at most {MOST_RULES} rules")
        return ()
    rules = tuple(_rule(number, item, faults) for number, item in enumerate(value, 1))
    if len({rule.id for rule in rules}) != len(rules):
        faults.append("two rules have the same id")
    return rules


def _rule(number: int, document: object, faults: Faults) -> Rule:
    where = f"rule {number}"
    data = parsing.fields_of(document, where, _FIELDS, faults)
    protocol = parsing.choice(data.get("protocol"), f"{where} protocol", PROTOCOLS, faults)
    ports = _ports(data.get("ports"), where, faults)
    if ports is not None and protocol not in WITH_PORTS:
        faults.append(f"{where} has ports, but its protocol has none")
    return Rule(
        id=parsing.text(data.get("id"), f"{where} id", UUID, faults),
        action=parsing.choice(data.get("action"), f"{where} action", ACTIONS, faults),
        protocol=protocol,
        ports=ports,
        source=_end(data.get("source"), f"{where} source", faults),
        destination=_end(data.get("destination"), f"{where} destination", faults),
    )


def _ports(value: object, where: str, faults: Faults) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        faults.append(f"{where} ports are not a pair of first and last port")
        return None
    first, last = (parsing.number(port, f"{where} ports", 1, 65535, faults) for port in value)
    if first > last:
        faults.append(f"{where} has a first port above its last port")
    return first, last


def _end(value: object, name: str, faults: Faults) -> str:
    if value == ANY or (isinstance(value, str) and (TAG.fullmatch(value) or parsing.is_plain_network(value))):
        return str(value)
    faults.append(f"{name} is neither any, nor a canonical network, nor a tag")
    return ANY
