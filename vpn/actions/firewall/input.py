"""Checks firewall rules: their form, and whether what they name exists. Each fault has a rule and a field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from portal.models import Group, Membership
from vpn.choices import RuleAction, RuleProtocol
from vpn.models import FirewallRule, Instance, Site
from vpn.validators import parse_network, parse_ports, parse_rule_end, validate_label_text

_WITHOUT_PORTS: Final = {RuleProtocol.ICMP, RuleProtocol.ICMPV6}
_DEFAULTS: Final = {
    "name": "",
    "action": RuleAction.ACCEPT.value,
    "protocol": RuleProtocol.ANY.value,
    "port": "",
    "source": "any",
    "destination": "any",
}
_ENDS: Final = ("source", "destination")
_WORDS: Final = {"site": "site", "user": "member", "group": "group"}


@dataclass(frozen=True)
class RuleFault:
    """A fault in one field of a rule; rules are numbered from 1."""

    number: int
    name: str
    field: str
    message: str

    def __str__(self) -> str:
        named = f" “{self.name}”" if self.name else ""
        return f"Rule {self.number}{named}, {self.field}: {self.message}"


class RuleValues(NamedTuple):
    """A rule's values as they are stored, in canonical form; fields as in the API."""

    name: str
    action: str
    protocol: str
    port: str
    source: str
    destination: str

    @classmethod
    def of(cls, rule: FirewallRule) -> RuleValues:
        """The values of a row."""
        return cls(**{field: getattr(rule, field) for field in _DEFAULTS})

    @classmethod
    def all_of(cls, instance: Instance) -> list[RuleValues]:
        """The instance's rules as they are stored, in their order; one query."""
        return list(starmap(cls, instance.firewall_rules.values_list(*cls._fields)))

    @classmethod
    def given(cls, values: Mapping[str, Any]) -> RuleValues:
        """The values that were entered, unchecked; an absent field gets its default."""
        return cls(**{field: str(values.get(field, default)).strip() for field, default in _DEFAULTS.items()})

    def key(self, *, by_name: bool) -> tuple[str, ...]:
        """What identifies a rule: its action and the packets that it matches, and its name if `by_name`."""
        does = (self.action, self.protocol, self.port, self.source, self.destination)
        return (*does, self.name) if by_name else does


def cleaned_rule(number: int, given: Mapping[str, Any], faults: list[RuleFault]) -> RuleValues:
    """One rule from the entered values; its faults are added to `faults`."""
    values, found = _cleaned(RuleValues.given(given))
    # An invalid name is not quoted: it may be too long, or hold control characters.
    shown = "" if any(field == "name" for field, _ in found) else values.name
    faults += [RuleFault(number, shown, field, message) for field, message in found]
    return values


@lru_cache(maxsize=4096)
def _cleaned(given: RuleValues) -> tuple[RuleValues, tuple[tuple[str, str], ...]]:
    """The stored form of a rule and its faults. Cached, since it is needed again while a lock is held."""
    values: dict[str, str] = given._asdict()
    found: list[tuple[str, str]] = []
    if values["protocol"] in _WITHOUT_PORTS:
        values["port"] = ""  # ICMP has none.
    checks: dict[str, Callable[[str], str]] = {
        "name": _name,
        "action": lambda text: _one_of(text, RuleAction.values),
        "protocol": lambda text: _one_of(text, RuleProtocol.values),
        "port": lambda text: parse_ports(text) if text else "",
        "source": parse_rule_end,
        "destination": parse_rule_end,
    }
    for field, check in checks.items():
        try:
            values[field] = check(values[field])
        except ValidationError as error:
            found += [(field, message) for message in error.messages]
    found += _mismatches(values) if not found else []
    return RuleValues(**values), tuple(found)


def missing_ends(organization_id: UUID, rules: Iterable[RuleValues]) -> list[RuleFault]:
    """The ends that name a site, member or group that this organization does not have; three queries."""
    rules = list(rules)
    kinds: dict[str, QuerySet[Any]] = {
        "site": Site.objects.filter(organization=organization_id),
        "user": Membership.objects.filter(organization=organization_id),
        "group": Group.objects.filter(organization=organization_id),
    }
    named = {getattr(rule, field).partition(":")[0] for rule in rules for field in _ENDS}
    there = {f"{kind}:{pk}" for kind, rows in kinds.items() if kind in named for pk in _keys(rows)}
    return [
        RuleFault(number, rule.name, field, f"There is no such {_WORDS[kind]} in this organization.")
        for number, rule in enumerate(rules, 1)
        for field in _ENDS
        if (kind := getattr(rule, field).partition(":")[0]) in kinds and getattr(rule, field) not in there
    ]


def _keys(rows: QuerySet[Model]) -> Iterable[UUID]:
    return rows.order_by().values_list("pk", flat=True)


def _name(text: str) -> str:
    if text:
        validate_label_text(text)
    return text


def _one_of(text: str, choices: list[str]) -> str:
    if text not in choices:
        raise ValidationError(f"Choose one of {', '.join(choices)}.")
    return text


def _mismatches(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Combinations that no packet can match: two address families, or ICMP with IPv6 and ICMPv6 with IPv4."""
    families = {field: parse_network(values[field]).version for field in _ENDS if "/" in values[field]}
    if len(set(families.values())) == 2:
        source = families["source"]
        return [
            (
                "destination",
                f"The source is IPv{source} and this is not, so no packet can match. Use one address family.",
            )
        ]
    family = {RuleProtocol.ICMP: 4, RuleProtocol.ICMPV6: 6}.get(RuleProtocol(values["protocol"]))
    if family and families and family not in families.values():
        other, network = (RuleProtocol.ICMPV6, "IPv6") if family == 4 else (RuleProtocol.ICMP, "IPv4")
        return [("protocol", f"Choose {other.value}, as the rule names an {network} network.")]
    return []
