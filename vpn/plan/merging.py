"""Two lists of rules in one, so that what they have in common is recognized."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from vpn.agent.spec import Rule

# Beyond so many rules that differ, nobody looks for what a wholly new list has in common with the old one.
_MOST_COMPARED = 3000


class Merged(NamedTuple):
    """The rules of both lists, each list in its order, and as bits which of them stand in it."""

    rules: list[Rule]
    before: int
    after: int


def merge(before: Sequence[Rule], after: Sequence[Rule]) -> Merged:
    """Both lists in one; a rule that says the same in both stands there once, whatever its id."""
    rules: list[Rule] = []
    ours = theirs = 0
    for is_common, old, new in _stretches([_key(rule) for rule in before], [_key(rule) for rule in after]):
        ours |= _bits(len(rules), len(old))
        rules.extend(before[index] for index in old)
        if is_common:
            theirs |= _bits(len(rules) - len(old), len(old))
        else:
            theirs |= _bits(len(rules), len(new))
            rules.extend(after[index] for index in new)
    return Merged(rules, ours, theirs)


def _stretches(before: Sequence[Hashable], after: Sequence[Hashable]) -> Iterator[tuple[bool, range, range]]:
    """What the lists have in common and what not, in order: where it stands in each."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    middle = before[start : len(before) - end], after[start : len(after) - end]
    yield True, range(start), range(start)
    if len(middle[0]) + len(middle[1]) > _MOST_COMPARED:
        yield False, range(start, start + len(middle[0])), range(start, start + len(middle[1]))
    else:
        for word, *bounds in SequenceMatcher(None, *middle, autojunk=False).get_opcodes():
            first, last, new_first, new_last = (bound + start for bound in bounds)
            yield word == "equal", range(first, last), range(new_first, new_last)
    yield True, range(len(before) - end, len(before)), range(len(after) - end, len(after))


def _key(rule: Rule) -> Hashable:
    return rule.action, rule.protocol, rule.ports, rule.source, rule.destination


def _bits(first: int, count: int) -> int:
    return ((1 << count) - 1) << first
