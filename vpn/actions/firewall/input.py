"""Checks firewall rules: their form, and whether what they name exists. Each fault has a rule and a field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from portal.models import Group, Membership
from vpn.choices import RuleAction, RuleProtocol
from vpn.models import RuleValues, Site
from vpn.validators import parse_network, parse_ports, parse_rule_end, validate_label_text

_WITHOUT_PORTS: Final = {RuleProtocol.ICMP, RuleProtocol.ICMPV6}
_ACTIONS: Final = RuleAction.values
_PROTOCOLS: Final = RuleProtocol.values
_ENDS: Final = ("source", "destination")
_WORDS: Final = {"site": "site", "user": "member", "group": "group"}
_TAGS: Final = tuple(f"{kind}:" for kind in _WORDS)


@dataclass(frozen=True)
class RuleFault:
    """A fault in one field of a rule; rules are numbered from 1."""

    number: int
    name: str
    field: str
    message: str

    def __str__(self) -> str:
        values = {"number": self.number, "name": self.name, "field": self.field, "message": self.message}
        if self.name:
            return _("Rule %(number)s “%(name)s”, %(field)s: %(message)s") % values
        return _("Rule %(number)s, %(field)s: %(message)s") % values


def cleaned_rule(number: int, given: RuleValues, faults: list[RuleFault]) -> RuleValues:
    """One rule from the entered values; its faults are added to `faults`."""
    values, found = _cleaned(given, get_language())
    if found:
        # An invalid name is not quoted: it may be too long, or hold control characters.
        shown = "" if any(field == "name" for field, _message in found) else values.name
        faults += [RuleFault(number, shown, field, message) for field, message in found]
    return values


@lru_cache(maxsize=4096)
def _cleaned(given: RuleValues, _language: str | None) -> tuple[RuleValues, tuple[tuple[str, str], ...]]:
    """The stored form of a rule and its faults. Cached, since it is needed again while a lock is held."""
    values: dict[str, str] = given._asdict()
    found: list[tuple[str, str]] = []
    if values["protocol"] in _WITHOUT_PORTS:
        values["port"] = ""  # ICMP has none.
    checks: dict[str, Callable[[str], str]] = {
        "name": _name,
        "action": lambda text: _one_of(text, _ACTIONS),
        "protocol": lambda text: _one_of(text, _PROTOCOLS),
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


def missing_ends(organization_id: UUID, rules: Sequence[RuleValues]) -> list[RuleFault]:
    """The ends that name a site, member or group that this organization does not have; three queries."""
    named = {end for rule in rules for end in (rule.source, rule.destination) if end.startswith(_TAGS)}
    missing = named - present_ends(organization_id, named)
    if not missing:
        return []
    return [
        RuleFault(
            number,
            rule.name,
            field,
            _("There is no such %(words)s in this organization.") % {"words": _WORDS[end.partition(":")[0]]},
        )
        for number, rule in enumerate(rules, 1)
        for field in _ENDS
        if (end := getattr(rule, field)) in missing
    ]


def present_ends(organization_id: UUID, ends: Iterable[str]) -> set[str]:
    """The ends among these that the organization has."""
    identifiers: dict[str, list[UUID]] = {kind: [] for kind in _WORDS}
    for end in ends:
        kind, _, identifier = end.partition(":")
        with suppress(ValueError):
            identifiers[kind].append(UUID(identifier))
    rows: dict[str, QuerySet[Any]] = {
        "site": Site.objects.filter(organization=organization_id),
        "user": Membership.objects.filter(organization=organization_id),
        "group": Group.objects.filter(organization=organization_id),
    }
    return {
        f"{kind}:{pk}"
        for kind, named in identifiers.items()
        for pk in rows[kind].filter(pk__in=named).order_by().values_list("pk", flat=True)
    }


def _name(text: str) -> str:
    if text:
        validate_label_text(text)
    return text


def _one_of(text: str, choices: list[str]) -> str:
    if text not in choices:
        raise ValidationError(_("Choose one of %(choices)s.") % {"choices": ", ".join(choices)})
    return text


def _mismatches(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Combinations that no packet can match: two address families, or ICMP with IPv6 and ICMPv6 with IPv4."""
    families = {field: parse_network(values[field]).version for field in _ENDS if "/" in values[field]}
    if len(set(families.values())) == 2:
        source = families["source"]
        return [
            (
                "destination",
                _("The source is IPv%(source)s and this is not, so no packet can match. Use one address family.")
                % {"source": source},
            )
        ]
    family = {RuleProtocol.ICMP: 4, RuleProtocol.ICMPV6: 6}.get(RuleProtocol(values["protocol"]))
    if family and families and family not in families.values():
        other, network = (RuleProtocol.ICMPV6, "IPv6") if family == 4 else (RuleProtocol.ICMP, "IPv4")
        return [
            (
                "protocol",
                _("Choose %(value)s, as the rule names an %(network)s network.")
                % {"value": other.value, "network": network},
            )
        ]
    return []
