"""What changed in an instance's settings, in words for Activity: which rules, which settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vpn.models import RuleValues

_SETTINGS: Final = {
    "mtu": "MTU",
    "pool": "pool",
    "pushed_routes": "pushed routes",
    "public_dns": "DNS servers",
    "split_dns": "servers of the domains",
    "domains": "domains",
    "dns_custom": "DNS records",
    "firewall_policy": "policy between peers",
}
# Limits of one line in Activity: how many names, and how many characters of each name.
MOST_NAMES = 3
_NAME_LENGTH = 40


def settings_words(former: Sequence[RuleValues], wanted: Mapping[str, Any]) -> list[str]:
    """What `wanted` changes; `former` are the rules that its `firewall` replaces, if it has one."""
    words: list[str] = []
    if "firewall" in wanted:
        words += rules_words(former, wanted["firewall"])
    settings = [label for field, label in _SETTINGS.items() if field in wanted]
    if settings and not words:
        settings[0] = f"{settings[0][0].upper()}{settings[0][1:]}"
    return [*words, f"{listed_names(settings, most=len(settings))} changed"] if settings else words


def rules_words(former: Sequence[RuleValues], wanted: Sequence[RuleValues]) -> list[str]:
    """The rules that were added, changed or removed, by name; unnamed rules by number."""
    gone, new = Counter(former) - Counter(wanted), Counter(wanted) - Counter(former)
    numbers = [{rule: number for number, rule in reversed(list(enumerate(rules, 1)))} for rules in (former, wanted)]
    names_gone, names_new = ({rule.name for rule in rules if rule.name} for rules in (gone, new))
    changed = names_gone & names_new
    found = [
        ("added", [_rule(rule, numbers[1]) for rule in new if rule.name not in changed]),
        ("changed", [f"“{name}”" for name in dict.fromkeys(rule.name for rule in new if rule.name in changed)]),
        ("removed", [_rule(rule, numbers[0]) for rule in gone if rule.name not in changed]),
    ]
    words = [f"{'Rule' if len(names) == 1 else 'Rules'} {listed_names(names)} {act}" for act, names in found if names]
    return words or ["Order of the rules changed"]


def listed_names(names: Sequence[str], count: int | None = None, *, most: int = MOST_NAMES) -> str:
    """The first names and how many more there are: "a, b, c and 4 more". `count` is their number where not all of them
    are given."""
    shown = [name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…" for name in names[:most]]
    more = (len(names) if count is None else count) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more:,} more" if shown else f"{more:,}"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _rule(rule: RuleValues, numbers: Mapping[RuleValues, int]) -> str:
    return f"“{rule.name}”" if rule.name else str(numbers[rule])
