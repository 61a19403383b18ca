"""An instance's firewall rules: checked and replaced as a whole, and removed with what they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn.actions.activity import planning
from vpn.actions.activity.change_words import rules_words
from vpn.actions.change import Scope
from vpn.actions.firewall.input import RuleFault, RuleValues, cleaned_rule, missing_ends
from vpn.actions.refusal import InvalidSettings
from vpn.constants import MOST_RULES
from vpn.desired.firewall import document_of_rule
from vpn.models import ChangePlan, FirewallRule, Instance
from vpn.models.row_updates import update_rows

# The column of a peer by which an end of each kind names it.
_KINDS = {"site": "site", "user": "member", "group": "member__groups"}

__all__ = [
    "InvalidSettings",
    "RuleFault",
    "are_rules",
    "cleaned_rules",
    "forget_end",
    "lock_instances",
    "naming",
    "prepare_rules",
    "replace_rules",
]


def cleaned_rules(instance: Instance, wanted: Sequence[Mapping[str, Any]]) -> list[RuleValues]:
    """The rules as they are stored; absent fields get defaults. Raises InvalidSettings with every fault."""
    if len(wanted) > MOST_RULES:
        message = f"An instance has at most {MOST_RULES:,} rules; these are {len(wanted):,}."
        raise InvalidSettings({"firewall": [message]})
    faults: list[RuleFault] = []
    rules = [cleaned_rule(number, values, faults) for number, values in enumerate(wanted, 1)]
    told = {(fault.number, fault.field) for fault in faults}
    missing = missing_ends(instance.organization_id, rules)
    _refuse(faults + [fault for fault in missing if (fault.number, fault.field) not in told])
    return rules


def prepare_rules(wanted: Sequence[Mapping[str, Any]]) -> None:
    """Parse rules before a lock is taken. The results are cached, so the lock is held for less time."""
    for number, values in enumerate(wanted[:MOST_RULES], 1):
        cleaned_rule(number, values, [])


def are_rules(instance: Instance, wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Are these the stored rules, in the same order?"""
    return RuleValues.all_of(instance) == [RuleValues.given(one) for one in wanted]


def replace_rules(locked: Instance, wanted: Sequence[RuleValues], *, by: Principal) -> None:
    """Give the locked instance these rules, in this order.

    A rule that matches the same packets as a previous one keeps its row and so its hits: first one of the same name,
    then any, in order. Raises InvalidSettings where a site, member or group was deleted meanwhile.
    """
    _refuse(missing_ends(locked.organization_id, wanted))
    present = list(locked.firewall_rules.all())
    changed_ends = _ends(present) ^ _ends(wanted)
    kept = _kept(present, wanted)
    moved: list[tuple[object, ...]] = []
    new: list[FirewallRule] = []
    for position, values in enumerate(wanted):
        rule = kept.get(position)
        if rule is None:
            new.append(FirewallRule(instance=locked, position=position, **values._asdict()))
        elif (rule.position, rule.name) != (position, values.name):
            rule.position, rule.name = position, values.name
            moved.append((position, values.name, rule.pk))
    rows = {**kept, **{rule.position: rule for rule in new}}
    after = [document_of_rule(rows[position]) for position in range(len(wanted))]
    planning.touch_rules(locked.pk, [document_of_rule(rule) for rule in present], after)
    if planning.is_preview():
        return  # A preview needs no more than the recorded rules. Stopping here releases the lock early.
    _tag_anew(locked, changed_ends)
    locked.firewall_rules.exclude(pk__in={rule.pk for rule in kept.values()}).delete()
    # The column of hits is left out: a report may be updating it at the same time.
    update_rows(FirewallRule, ["position", "name"], ["id"], moved)
    FirewallRule.objects.bulk_create(new, batch_size=200)
    acted(by, "rules replaced", locked)


def _ends(rules: Iterable[FirewallRule | RuleValues]) -> set[str]:
    return {end for rule in rules for end in (rule.source, rule.destination)}


def _tag_anew(locked: Instance, ends: Iterable[str]) -> None:
    """Mark the peers that these ends name for sending: their tags change with the rules that name them."""
    named: dict[str, list[UUID]] = defaultdict(list)
    for end in ends:
        kind, colon, identifier = end.partition(":")
        if kind in _KINDS and colon:
            named[kind].append(UUID(identifier))
    concerned = Q(pk__in=[])
    for kind, identifiers in named.items():
        concerned |= Q(**{f"{_KINDS[kind]}__in": identifiers})
    if named:
        locked.peers.filter(concerned).update(changed_generation=locked.desired_generation)


def _kept(present: Iterable[FirewallRule], wanted: Sequence[RuleValues]) -> dict[int, FirewallRule]:
    """The existing row that each rule keeps, by the rule's position."""
    kept: dict[int, FirewallRule] = {}
    rest = list(present)
    for by_name in (True, False):
        free: dict[tuple[str, ...], list[FirewallRule]] = defaultdict(list)
        for rule in reversed(rest):
            free[RuleValues.of(rule).key(by_name=by_name)].append(rule)
        for position, values in enumerate(wanted):
            same = free.get(values.key(by_name=by_name))
            if position not in kept and same:
                kept[position] = same.pop()
        chosen = {rule.pk for rule in kept.values()}
        rest = [rule for rule in rest if rule.pk not in chosen]
    return kept


def naming(end: str) -> QuerySet[FirewallRule]:
    """The rules that name this end, such as `group:ID`."""
    return FirewallRule.objects.filter(Q(source=end) | Q(destination=end))


def forget_end(organization_id: UUID, end: str, *, by: Principal) -> None:
    """Remove the rules that name an end which is being deleted, as they could match no packet any more."""
    # With the lock, a rule added at the same time is either removed here, or refused since its end is gone.
    lock_instances(organization_id)
    for instance_id in sorted(set(naming(end).values_list("instance", flat=True))):
        try:
            with planning.planned_change(instance_id, by=by, scope=Scope.WHOLE, urgent=True) as locked:
                present = list(locked.firewall_rules.all())
                left = [rule for rule in present if end not in {rule.source, rule.destination}]
                naming(end).filter(instance=instance_id).delete()
                planning.touch_rules(
                    locked.pk, *([document_of_rule(rule) for rule in some] for some in (present, left))
                )
                words = rules_words(*([RuleValues.of(rule) for rule in some] for some in (present, left)))
            plans = ChangePlan.objects.filter(instance=instance_id, generation=locked.desired_generation)
            plans.update(changed=words)
        except NotPossible:
            naming(end).filter(instance=instance_id).delete()  # The hub is being deleted and needs no change.


def lock_instances(organization_id: UUID) -> None:
    """Lock an organization's instances until the transaction ends, so that no rule changes meanwhile."""
    rows = Instance.objects.filter(organization=organization_id).order_by("pk")
    list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))


def _refuse(faults: Sequence[RuleFault]) -> None:
    if faults:
        ordered = sorted(faults, key=lambda fault: fault.number)
        raise InvalidSettings({"firewall": [str(fault) for fault in ordered]}, ordered)
