"""What changed in an instance's settings, for Activity: which rules, which settings (vpn.told has the words)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from portal.told import Told, told, told_names
from vpn.models import RuleValues
from vpn.told import SETTINGS


def settings_words(former: Sequence[RuleValues], wanted: Mapping[str, Any]) -> list[Told]:
    """What `wanted` changes; `former` are the rules that its `firewall` replaces, if it has one."""
    words: list[Told] = []
    if "firewall" in wanted:
        words += rules_words(former, wanted["firewall"])
    settings = [field for field in SETTINGS if field in wanted and field != "name"]
    return [*words, told("settings-changed", names=settings, begins=not words)] if settings else words


def rules_words(former: Sequence[RuleValues], wanted: Sequence[RuleValues]) -> list[Told]:
    """The rules that were added, changed or removed, by name; unnamed rules by number."""
    gone, new = Counter(former) - Counter(wanted), Counter(wanted) - Counter(former)
    numbers = [{rule: number for number, rule in reversed(list(enumerate(rules, 1)))} for rules in (former, wanted)]
    names_gone, names_new = ({rule.name for rule in rules if rule.name} for rules in (gone, new))
    changed = names_gone & names_new
    found = [
        ("rules-added", [_rule(rule, numbers[1]) for rule in new if rule.name not in changed]),
        ("rules-changed", [f"“{name}”" for name in dict.fromkeys(rule.name for rule in new if rule.name in changed)]),
        ("rules-removed", [_rule(rule, numbers[0]) for rule in gone if rule.name not in changed]),
    ]
    return [told_names(code, names) for code, names in found if names] or [told("rules-moved")]


def _rule(rule: RuleValues, numbers: Mapping[RuleValues, int]) -> str:
    return f"“{rule.name}”" if rule.name else str(numbers[rule])
