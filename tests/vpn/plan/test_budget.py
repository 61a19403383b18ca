"""A plan ends within its steps, the same for the same rows, and says what it leaves out."""

from __future__ import annotations

import pytest

from tests.factories import BY, make_instance, make_organization, make_site, settle, work_out_plans
from tests.vpn.large_hub import networks_of, some_rules
from vpn.actions.activity.planning import compute_plan, preview
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_site_peer
from vpn.models import Instance
from vpn.plan.explaining import Size, too_much
from vpn.reach.effects import Budget, Exhausted
from vpn.reach.merging import merge
from vpn.wire.rules import Rule

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub() -> Instance:
    """Two sites of 100 networks each."""
    organization = make_organization()
    made = make_instance(organization)
    for number in range(2):
        site = make_site(organization, name=f"Site {number}")
        create_site_peer(made, site=site, subnets=networks_of(number, 100), by=BY)
    return work_out_plans(settle(made))


def test_the_same_question_ends_at_the_same_step_and_says_how_much_there_is(hub: Instance) -> None:
    rules = some_rules(networks_of(0, 100) + networks_of(1, 100), seed=1, count=200)
    found = preview(lambda: update_instance(hub, firewall=rules, by=BY))
    documents = [compute_plan(found, 50_000).document(most_lines=200) for _ in range(2)]
    assert documents[0] == documents[1]
    assert "reach" in documents[0]["cut"]
    assert documents[0]["size"] == {"peers": 2, "rules": 200, "networks": 200}
    assert compute_plan(preview(lambda: update_instance(hub, firewall=rules[:5], by=BY)), 10**9).cut == set()


def test_a_part_takes_from_the_whole_and_never_more_than_a_third_of_it() -> None:
    whole = Budget(90)
    part = whole.part(1000)
    part.spend(30)
    with pytest.raises(Exhausted):
        part.spend()
    assert whole.is_exceeded
    assert whole.left == 60


def test_what_is_left_out_is_said_with_counts() -> None:
    sentence = too_much(Size(10_000, 1000, 3500), {"reach"})
    assert sentence.startswith("10,000 peers, 1,000 rules and 3,500 networks of sites are too many to compute")
    assert "who reaches whom" in sentence
    assert "profiles" not in sentence


def test_two_lists_are_merged_in_their_orders_however_often_rules_come_again() -> None:
    rules = [
        Rule(str(number), "accept", "tcp", (1 + number % 2, 1 + number % 2), "any", "any") for number in range(3000)
    ]
    merged = merge(rules, rules[::-1])
    for bits, wanted in ((merged.before, rules), (merged.after, rules[::-1])):
        kept = [rule.ports for place, rule in enumerate(merged.rules) if bits >> place & 1]
        assert kept == [rule.ports for rule in wanted]
    assert len(merge(rules, [rules[0], *rules]).rules) == len(rules) + 1
