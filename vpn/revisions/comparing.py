"""Two revisions side by side: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest
from typing import Final, NamedTuple

from django.utils.translation import gettext as _

from vpn.models import RuleValues
from vpn.revisions.sections import Document

# Equal rules shown before and after each difference.
_AROUND: Final = 1


class Difference(StrEnum):
    """How a line differs between two revisions."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class Line(NamedTuple):
    """One line of a section, in both revisions; a side without it is empty."""

    label: str
    before: Sequence[str]
    after: Sequence[str]
    # In place of equal rows that are left out; its label says how many.
    is_gap: bool = False

    @property
    def difference(self) -> Difference:
        """How its sides differ."""
        if list(self.before) == list(self.after):
            return Difference.SAME
        if not self.before:
            return Difference.ADDED
        return Difference.CHANGED if self.after else Difference.REMOVED


class RulePair(NamedTuple):
    """Rules side by side, each with its number; `skipped` equal ones are left out before this pair."""

    before: tuple[int, RuleValues] | None
    after: tuple[int, RuleValues] | None
    skipped: int = 0

    @property
    def difference(self) -> Difference:
        """How its sides differ."""
        if self.before is None or self.after is None:
            return Difference.ADDED if self.before is None else Difference.REMOVED
        return Difference.SAME if self.before[1] == self.after[1] else Difference.CHANGED


def column_lines(before: Document, after: Document, labels: Mapping[str, str]) -> list[Line]:
    """The columns of an instance, in the order of `labels`."""
    return [Line(label, _texts(before, name), _texts(after, name)) for name, label in labels.items()]


def record_lines(before: Document, after: Document) -> list[Line]:
    """The DNS records by name and type, those that differ."""
    sides = _values_of(before), _values_of(after)
    keys = sorted(sides[0].keys() | sides[1].keys())
    lines = [
        Line(f"{name} ({kind})", sides[0].get((name, kind), ()), sides[1].get((name, kind), ())) for name, kind in keys
    ]
    return [line for line in lines if line.difference is not Difference.SAME]


def site_lines(before: Document, after: Document) -> list[Line]:
    """The sites by name whose subnets differ, or which are connected in one of the revisions only."""
    names = {**before.names, **after.names}
    ids = sorted(before.sites.keys() | after.sites.keys(), key=lambda pk: (names.get(f"site:{pk}", ""), pk))
    lines = [
        Line(names.get(f"site:{pk}", _("a former site")), before.sites.get(pk, ()), after.sites.get(pk, ()))
        for pk in ids
    ]
    return [line for line in lines if line.difference is not Difference.SAME]


def rule_pairs(before: Sequence[RuleValues], after: Sequence[RuleValues]) -> tuple[list[RulePair], int]:
    """The rules side by side where they differ, with a few equal ones around; and how many equal ones follow."""
    pairs = list(_aligned(before, after))
    differing = [place for place, pair in enumerate(pairs) if pair.difference is not Difference.SAME]
    shown = sorted(
        {near for place in differing for near in range(place - _AROUND, place + _AROUND + 1) if 0 <= near < len(pairs)}
    )
    found, following = [], 0
    for place in shown:
        found.append(pairs[place]._replace(skipped=place - following))
        following = place + 1
    return found, len(pairs) - following


def _aligned(before: Sequence[RuleValues], after: Sequence[RuleValues]) -> Iterator[RulePair]:
    # Equal rules are numbered, so that each line is unique: a thousand equal ones took a minute.
    matcher = SequenceMatcher(None, _numbered(before), _numbered(after), autojunk=False)
    for _tag, first, last, begin, end in matcher.get_opcodes():
        old = [(number + 1, before[number]) for number in range(first, last)]
        new = [(number + 1, after[number]) for number in range(begin, end)]
        for pair in zip_longest(old, new):
            yield RulePair(*pair)


def _numbered(rules: Sequence[RuleValues]) -> list[tuple[RuleValues, int]]:
    """Each rule with how many equal ones come before it."""
    seen: Counter[RuleValues] = Counter()
    found = []
    for rule in rules:
        found.append((rule, seen[rule]))
        seen[rule] += 1
    return found


def _texts(document: Document, name: str) -> tuple[str, ...]:
    value = document.settings.get(name, "")
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _values_of(document: Document) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for name, kind, value in document.records:
        found.setdefault((name, kind), []).append(value)
    return found
