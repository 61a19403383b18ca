"""Is a firewall rule well formed, and is what it names there? Every fault says which rule and field it is about."""

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
    """What is wrong with a field of a rule; rules are numbered from 1."""

    number: int
    name: str
    field: str
    message: str

    def __str__(self) -> str:
        named = f" “{self.name}”" if self.name else ""
        return f"Rule {self.number}{named}, {self.field}: {self.message}"


class RuleValues(NamedTuple):
    """A rule as it is stored: fields as in the API, in their canonical form."""

    name: str
    action: str
    protocol: str
    port: str
    source: str
    destination: str

    @classmethod
    def of(cls, rule: FirewallRule) -> RuleValues:
        """What a row holds."""
        return cls(**{field: getattr(rule, field) for field in _DEFAULTS})

    @classmethod
    def all_of(cls, instance: Instance) -> list[RuleValues]:
        """The instance's rules as they are stored, in their order; one query."""
        return list(starmap(cls, instance.firewall_rules.values_list(*cls._fields)))

    @classmethod
    def given(cls, values: Mapping[str, Any]) -> RuleValues:
        """What was given, unchecked; what is absent has its default."""
        return cls(**{field: str(values.get(field, default)).strip() for field, default in _DEFAULTS.items()})

    def key(self, *, by_name: bool) -> tuple[str, ...]:
        """What the rule does to which packets, perhaps with its name: two rules with the same key are the same."""
        does = (self.action, self.protocol, self.port, self.source, self.destination)
        return (*does, self.name) if by_name else does


def cleaned_rule(number: int, given: Mapping[str, Any], faults: list[RuleFault]) -> RuleValues:
    """One rule from what was given; `faults` is told what is wrong."""
    values, found = _cleaned(RuleValues.given(given))
    # A name at fault is not quoted: it may be long, or not fit to be shown.
    shown = "" if any(field == "name" for field, _ in found) else values.name
    faults += [RuleFault(number, shown, field, message) for field, message in found]
    return values


@lru_cache(maxsize=4096)
def _cleaned(given: RuleValues) -> tuple[RuleValues, tuple[tuple[str, str], ...]]:
    """A rule as it is stored, and what is wrong with which field; remembered, as it is asked for again under a lock."""
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
    """The ends that name a site, member or group which is not there, or another organization's; three queries."""
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
    """What no packet can match: one has one address family, and ICMP is IPv4's, ICMPv6 IPv6's."""
    families = {field: parse_network(values[field]).version for field in _ENDS if "/" in values[field]}
    if len(set(families.values())) == 2:
        source = families["source"]
        return [("destination", f"The source is IPv{source} and this is not: no packet can match. Use one family.")]
    family = {RuleProtocol.ICMP: 4, RuleProtocol.ICMPV6: 6}.get(RuleProtocol(values["protocol"]))
    if family and families and family not in families.values():
        other, network = (RuleProtocol.ICMPV6, "IPv6") if family == 4 else (RuleProtocol.ICMP, "IPv4")
        return [("protocol", f"Choose {other.value}, as the rule names an {network} network.")]
    return []
