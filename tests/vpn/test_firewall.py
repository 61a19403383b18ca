"""Firewall rules: what is accepted, what is refused and in which words, and what follows when something goes away."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from portal.actions.group import change_group, create_group, delete_group
from portal.actions.member import remove_member
from portal.exceptions import Conflict, InvalidInput
from portal.models import Group, Membership, Organization
from tests.factories import BY, hits_of, make_client_peer, make_instance, make_member, make_site, observe_hits
from vpn.actions.instances.settings import update_instance
from vpn.actions.sites.site import delete_site
from vpn.choices import InstanceState
from vpn.models import FirewallRule, Instance, Peer, Site

pytestmark = pytest.mark.both_databases


def rules_of(instance: Instance) -> list[FirewallRule]:
    return list(instance.firewall_rules.all())


@pytest.fixture
def group(organization: Organization, member: Membership) -> Group:
    return create_group(organization, name="Sales", members=[member.pk], by=BY)


def faults(instance: Instance, *rules: dict[str, Any]) -> list[str]:
    """What is said of these rules."""
    with pytest.raises(InvalidInput) as refused:
        update_instance(instance, firewall=list(rules), by=BY)
    assert set(refused.value.errors) == {"firewall"}
    assert not rules_of(instance)
    return refused.value.errors["firewall"]


def test_what_is_absent_has_its_default(instance: Instance) -> None:
    before = instance.desired_generation
    update_instance(instance, firewall=[{}], firewall_policy="deny", by=BY)
    (rule,) = rules_of(instance)
    assert (rule.name, rule.action, rule.protocol, rule.port) == ("", "accept", "any", "")
    assert (rule.source, rule.destination, hits_of(instance)) == ("any", "any", [0])
    instance.refresh_from_db()
    assert (instance.firewall_policy, instance.settings_generation) == ("deny", before + 1)


def test_rules_keep_their_order_and_are_canonical(
    instance: Instance, site: Site, member: Membership, group: Group
) -> None:
    update_instance(
        instance,
        firewall=[
            {"name": " web ", "protocol": "tcp", "port": "443", "source": f"group:{group.pk}", "destination": "any"},
            {"action": "drop", "port": "1000 - 2000", "source": f"USER:{member.pk}".lower(), "destination": "fd00::/8"},
            {"action": "reject", "protocol": "icmp", "port": "nonsense", "source": f"site:{str(site.pk).upper()}"},
            {"protocol": "udp", "port": "53-53", "source": " 10.0.0.0/8 ", "destination": "10.1.0.0/24"},
        ],
        by=BY,
    )
    shown = [(rule.name, rule.port, rule.source, rule.destination) for rule in rules_of(instance)]
    assert shown == [
        ("web", "443", f"group:{group.pk}", "any"),
        ("", "1000-2000", f"user:{member.pk}", "fd00::/8"),
        ("", "", f"site:{site.pk}", "any"),
        ("", "53", "10.0.0.0/8", "10.1.0.0/24"),
    ]


@pytest.mark.parametrize(
    ("rule", "field", "words"),
    [
        ({"name": "x" * 41}, "name", "has 41"),
        ({"name": "a\u202eb"}, "name", "letters, digits and signs"),
        ({"action": "allow"}, "action", "accept, drop, reject"),
        ({"protocol": "sctp"}, "protocol", "any, tcp, udp, icmp, icmpv6"),
        ({"protocol": "tcp", "port": "0"}, "port", "from 1 to 65535"),
        ({"protocol": "tcp", "port": "65536"}, "port", "from 1 to 65535"),
        ({"protocol": "tcp", "port": "80,443"}, "port", "range such as 1000-2000"),
        ({"protocol": "tcp", "port": "٤٤٣"}, "port", "from 1 to 65535"),
        ({"protocol": "udp", "port": "2000-1000"}, "port", "first port comes first: 1000-2000"),
        ({"source": ""}, "source", "This is empty"),
        ({"source": "10.1.0.7/24"}, "source", "the network is 10.1.0.0/24"),
        ({"source": "10.1.0.7"}, "source", "Add the prefix length"),
        ({"destination": "the internet"}, "destination", "a network such as 10.1.0.0/24"),
        ({"destination": "group:sales"}, "destination", "the id of the group"),
        ({"source": "10.0.0.0/8", "destination": "fd00::/8"}, "destination", "no packet can match"),
        ({"protocol": "icmp", "source": "fd00::/8"}, "protocol", "Choose icmpv6"),
        ({"protocol": "icmpv6", "destination": "10.0.0.0/8"}, "protocol", "Choose icmp,"),
    ],
)
def test_a_fault_names_rule_and_field(instance: Instance, rule: dict[str, Any], field: str, words: str) -> None:
    (message,) = faults(instance, {}, rule)
    assert message.startswith("Rule 2")
    assert f", {field}: " in message
    assert words in message


def test_every_fault_of_every_rule_is_told_in_order(instance: Instance) -> None:
    said = faults(instance, {"name": "web", "port": "x", "source": "y"}, {}, {"source": f"site:{uuid4()}"})
    assert [message.partition(":")[0] for message in said] == [
        "Rule 1 “web”, port",
        "Rule 1 “web”, source",
        "Rule 3, source",
    ]


@pytest.mark.parametrize("field", ["source", "destination"])
def test_what_is_another_organizations_is_not_there(
    instance: Instance, other_organization: Organization, stranger: Membership, field: str
) -> None:
    site, group = make_site(other_organization), create_group(other_organization, name="Theirs", by=BY)
    for end, noun in (
        (f"site:{site.pk}", "site"),
        (f"user:{stranger.pk}", "member"),
        (f"group:{group.pk}", "group"),
        (f"group:{uuid4()}", "group"),
    ):
        (message,) = faults(instance, {field: end})
        assert f"no such {noun}" in message


def test_too_many_rules_are_refused(instance: Instance) -> None:
    (message,) = faults(instance, *[{}] * 1001)
    assert "at most 1,000" in message
    update_instance(instance, firewall=[{"port": str(number)} for number in range(1, 1001)], by=BY)
    assert len(rules_of(instance)) == 1000


def test_other_faults_are_told_together(instance: Instance) -> None:
    with pytest.raises(InvalidInput) as refused:
        update_instance(instance, firewall=[{"port": "x"}], firewall_policy="maybe", mtu=1, by=BY)
    assert set(refused.value.errors) == {"firewall", "firewall_policy", "mtu"}


def test_a_rule_that_is_unchanged_keeps_its_hits(instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "a", "port": "1"}, {"name": "b", "port": "1"}, {"port": "2"}], by=BY)
    first, second, third = rules_of(instance)
    observe_hits([second], 7)
    wanted = [{"port": "2", "name": "new name"}, {"port": "3"}, {"name": "b", "port": "1"}, {"name": "a", "port": "1"}]
    update_instance(instance, firewall=wanted, by=BY)
    now = rules_of(instance)
    assert [rule.pk for rule in now] == [third.pk, now[1].pk, second.pk, first.pk]
    assert hits_of(instance) == [0, 0, 7, 0]
    assert now[0].name == "new name"
    assert now[1].pk not in {first.pk, second.pk, third.pk}


@pytest.mark.parametrize(
    ("order", "statements"),
    [
        ([*range(1, 40), 0], 1),
        ([39, *range(39)], 1),
        ([*range(10, 20), *range(10), *range(20, 40)], 1),
        ([0, 2, 5, *range(9, 40)], 1),
        ([7, 100, 101, *range(7), 102, *range(8, 40)], 1),
        ([3, 2, 1, 0, 100, *range(30, 40), *range(4, 30)], 1),
        (list(reversed(range(40))), 40),
        ([*range(1, 40, 2), *range(0, 40, 2)], 40),
    ],
    ids=[
        "first to last",
        "last to first",
        "ten up",
        "some gone",
        "new ones between",
        "much",
        "reversed",
        "odd ones up",
    ],
)
def test_rules_that_move_keep_their_rows_in_few_statements(
    instance: Instance, order: list[int], statements: int
) -> None:
    """One UPDATE where rows move side by side, however many; what is inserted or removed moves the others."""
    update_instance(instance, firewall=[{"port": str(number + 1)} for number in range(40)], by=BY)
    rows = {number: rule.pk for number, rule in enumerate(rules_of(instance))}
    moved: list[int] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "position" in sql.partition("WHERE")[0]:
            moved.append(len(params) if many else 1)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        update_instance(instance, firewall=[{"port": str(number + 1)} for number in order], by=BY)
    now = rules_of(instance)
    assert [rule.port for rule in now] == [str(number + 1) for number in order]
    assert [rule.position for rule in now] == list(range(len(order)))
    assert all(rule.pk == rows[number] for rule, number in zip(now, order, strict=True) if number in rows)
    # PostgreSQL takes the values of all rows in one statement.
    assert moved == [1 if connection.vendor == "postgresql" else statements]


def test_a_rule_that_matches_something_else_counts_anew(instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "web", "port": "80"}], by=BY)
    observe_hits(rules_of(instance), 7)
    update_instance(instance, firewall=[{"name": "web", "port": "443"}], by=BY)
    assert hits_of(instance) == [0]


def test_absent_rules_stay(instance: Instance) -> None:
    update_instance(instance, firewall=[{"port": "1"}], by=BY)
    update_instance(instance, firewall_policy="deny", by=BY)
    assert len(rules_of(instance)) == 1
    update_instance(instance, firewall=[], by=BY)
    assert not rules_of(instance)


# What goes away ------------------------------------------------------------------------------------------------------


def test_a_group_that_a_rule_names_stays(instance: Instance, organization: Organization, group: Group) -> None:
    paris = make_instance(organization, name="Paris")
    for one in (instance, paris):
        update_instance(one, firewall=[{"source": f"group:{group.pk}"}], by=BY)
    with pytest.raises(Conflict, match="Frankfurt, Paris") as refused:
        delete_group(group, by=BY)
    assert refused.value.code == "group-in-use"
    for one in (instance, paris):
        update_instance(one, firewall=[], by=BY)
    delete_group(group, by=BY)


@pytest.mark.parametrize("state", [InstanceState.READY, InstanceState.DELETING])
def test_rules_about_a_member_go_with_them(instance: Instance, member: Membership, state: str) -> None:
    update_instance(instance, firewall=[{"source": f"user:{member.pk}"}, {"port": "1"}], by=BY)
    Instance.objects.update(state=state)
    before = Instance.objects.get().settings_generation
    remove_member(member, by=BY)
    assert [rule.port for rule in rules_of(instance)] == ["1"]
    assert (Instance.objects.get().settings_generation > before) == (state == InstanceState.READY)


def test_rules_about_a_site_go_with_it(instance: Instance, site: Site) -> None:
    update_instance(instance, firewall=[{"destination": f"site:{site.pk}"}, {"port": "1"}], by=BY)
    delete_site(site, by=BY)
    assert [rule.port for rule in rules_of(instance)] == ["1"]


def test_a_group_that_no_rule_names_concerns_no_hub(instance: Instance, client_peer: Peer, group: Group) -> None:
    before = Instance.objects.get().desired_generation
    change_group(group, members=[], by=BY)
    assert Instance.objects.get().desired_generation == before


def test_a_change_of_a_group_reaches_the_hubs_whose_rules_name_it(
    instance: Instance, organization: Organization, member: Membership, client_peer: Peer, group: Group
) -> None:
    bystander = make_client_peer(instance, make_member(organization))
    update_instance(instance, firewall=[{"source": f"group:{group.pk}"}], by=BY)
    before = Instance.objects.get()
    change_group(group, members=[], by=BY)
    after = Instance.objects.get()
    assert after.desired_generation == before.desired_generation + 1
    assert after.settings_generation == before.settings_generation
    assert Peer.objects.get(pk=client_peer.pk).changed_generation == after.desired_generation
    assert Peer.objects.get(pk=bystander.pk).changed_generation < after.desired_generation
