"""Rules side by side, also where many are equal."""

from __future__ import annotations

import time

from vpn.models import RuleValues
from vpn.revisions.comparing import Difference, rule_pairs

EQUAL = RuleValues("", "allow", "any", "", "any", "any")
OTHER = EQUAL._replace(name="other")


def test_a_thousand_equal_rules_are_compared_at_once() -> None:
    began = time.process_time()
    pairs, _ = rule_pairs([EQUAL] * 1000, [EQUAL, OTHER] * 500)
    assert time.process_time() - began < 5, "it took a minute"
    assert sum(pair.difference is not Difference.SAME for pair in pairs) >= 500


def test_one_more_equal_rule_is_the_only_difference() -> None:
    pairs, rest = rule_pairs([EQUAL, OTHER, EQUAL], [EQUAL, OTHER, EQUAL, EQUAL])
    assert ([pair.difference for pair in pairs], rest) == ([Difference.SAME, Difference.ADDED], 0)
