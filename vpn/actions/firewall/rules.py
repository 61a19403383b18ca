"""An instance's firewall rules: checked and replaced as a whole, and removed with what they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.figures import grouped
from portal.models import Principal
from portal.told import Told, told
from vpn.actions.activity import planning
from vpn.actions.activity.change_words import rules_words
from vpn.actions.activity.previewing import is_preview
from vpn.actions.change import Scope
from vpn.actions.firewall.input import RuleFault, cleaned_rule, missing_ends
from vpn.actions.firewall.management import FIELDS as MANAGEMENT
from vpn.actions.firewall.order import move_rules
from vpn.actions.refusal import InvalidSettings
from vpn.actions.revisions.recording import revising
from vpn.choices import PeerType
from vpn.constants import MOST_RULES
from vpn.desired.firewall import document_of_rule, managing_rules
from vpn.models import ChangePlan, ChangeTrial, FirewallRule, Instance, RuleRow, RuleValues
from vpn.models.row_updates import update_rows
from vpn.plan.delta import Rules
from vpn.wire.rules import ROUTERS

# The column of a peer by which an end of each kind names it.
_KINDS = {"site": "site", "user": "member", "group": "member__groups"}


def prepare_rules(wanted: Sequence[Mapping[str, Any]]) -> list[RuleValues]:
    """Parse rules before a lock is taken, for `cleaned_rules`. The results are cached, so the lock is held for less
    time."""
    given = [RuleValues.given(values) for values in wanted]
    for number, values in enumerate(given[:MOST_RULES], 1):
        cleaned_rule(number, values, [])
    return given


def cleaned_rules(instance: Instance, given: Sequence[RuleValues]) -> list[RuleValues]:
    """The rules as they are stored. Raises InvalidSettings with every fault.

    The caller holds the instance's lock, so no site, member or group of a rule can be deleted before it is saved.
    """
    if len(given) > MOST_RULES:
        message = _("An instance has at most %(most_rules)s rules; these are %(given)s.") % {
            "most_rules": grouped(MOST_RULES),
            "given": grouped(len(given)),
        }
        raise InvalidSettings({"firewall": [message]})
    faults: list[RuleFault] = []
    rules = [cleaned_rule(number, values, faults) for number, values in enumerate(given, 1)]
    told = {(fault.number, fault.field) for fault in faults}
    missing = missing_ends(instance.organization_id, rules)
    faults += [fault for fault in missing if (fault.number, fault.field) not in told]
    if faults:
        ordered = sorted(faults, key=lambda fault: fault.number)
        raise InvalidSettings({"firewall": [str(fault) for fault in ordered]}, ordered)
    return rules


def write_rules(
    locked: Instance,
    former: Sequence[RuleRow],
    wanted: dict[str, Any],
    *,
    by: Principal,
) -> None:
    """Write the rules and the management of routers among `wanted`, which are taken out of it."""
    before = managing_rules(locked)
    for field in MANAGEMENT & wanted.keys():
        setattr(locked, field, wanted.pop(field))
    after = managing_rules(locked)
    if before != after:
        ends = ({end for rule in rules for end in (rule["source"], rule["destination"])} for rules in (before, after))
        _tag_anew(locked, set.symmetric_difference(*ends))
    if "firewall" in wanted:
        replace_rules(locked, former, wanted.pop("firewall"), by=by, generated=(before, after))
    elif before != after:
        own = [document_of_rule(row.pk, row.values) for row in former]
        planning.touch_rules(locked.pk, [*before, *own], [*after, *own])


def replace_rules(
    locked: Instance,
    former: Sequence[RuleRow],
    wanted: Sequence[RuleValues],
    *,
    by: Principal,
    generated: tuple[Rules, Rules] | None = None,
) -> None:
    """Give the locked instance these rules, in this order, in place of its `former` ones.

    `generated` are the rules that come before all others, as they were and as they will be; None if they stay.

    A rule that matches the same packets as a former one keeps its row and so its hits: first one of the same name,
    then any, in order.
    """
    kept = _kept(former, wanted)
    ids = [kept[position].pk if position in kept else uuid4() for position in range(len(wanted))]
    before = {row.pk: document_of_rule(row.pk, row.values) for row in former}
    after = [before.get(pk) or document_of_rule(pk, values) for pk, values in zip(ids, wanted, strict=True)]
    first, later = generated if generated is not None else (managing_rules(locked),) * 2
    planning.touch_rules(locked.pk, [*first, *before.values()], [*later, *after])
    if is_preview():
        return  # A preview needs no more than the recorded rules. Stopping here releases the lock early.
    _tag_anew(locked, _ends(row.values for row in former) ^ _ends(wanted))
    if gone := before.keys() - set(ids):
        locked.firewall_rules.filter(pk__in=gone).delete()
    move_rules(locked, [(row.position, position, row.pk) for position, row in kept.items()], by=by)
    renamed = [(position, row.pk) for position, row in kept.items() if row.values.name != wanted[position].name]
    update_rows(FirewallRule, ["name"], ["id"], [(wanted[position].name, pk) for position, pk in renamed])
    new = [position for position in range(len(wanted)) if position not in kept]
    FirewallRule.objects.bulk_create(
        FirewallRule(id=ids[position], instance_id=locked.pk, position=position, **wanted[position]._asdict())
        for position in new
    )
    acted(by, "rules replaced", locked)


def _ends(rules: Iterable[RuleValues]) -> set[str]:
    return {end for rule in rules for end in (rule.source, rule.destination)}


def _tag_anew(locked: Instance, ends: Collection[str]) -> None:
    """Mark the peers that these ends name for sending: their tags change with the rules that name them."""
    named: dict[str, list[UUID]] = defaultdict(list)
    for end in ends:
        kind, colon, identifier = end.partition(":")
        if kind in _KINDS and colon:
            named[kind].append(UUID(identifier))
    concerned = Q(type=PeerType.SITE) if ROUTERS in ends else Q(pk__in=[])
    for kind, identifiers in named.items():
        concerned |= Q(**{f"{_KINDS[kind]}__in": identifiers})
    if named or ROUTERS in ends:
        locked.peers.filter(concerned).update(changed_generation=locked.desired_generation)


def _kept(former: Sequence[RuleRow], wanted: Sequence[RuleValues]) -> dict[int, RuleRow]:
    """The existing row that each rule keeps, by the rule's new position."""
    kept: dict[int, RuleRow] = {}
    for first in (0, 1):  # with the name, which is the first value, then without it
        taken = {row.pk for row in kept.values()}
        free: dict[tuple[str, ...], list[RuleRow]] = defaultdict(list)
        for row in reversed(former):
            if row.pk not in taken:
                free[row.values[first:]].append(row)
        for position, values in enumerate(wanted):
            if position not in kept and (rows := free.get(values[first:])):
                kept[position] = rows.pop()
    return kept


def naming(end: str) -> QuerySet[FirewallRule]:
    """The rules that name this end, such as `group:ID`."""
    return FirewallRule.objects.filter(Q(source=end) | Q(destination=end))


def managed_from(end: str) -> QuerySet[Instance]:
    """The instances whose routers this end may manage."""
    found = Instance.objects.order_by().annotate(sources_text=Cast("management_sources", TextField()))
    return found.filter(sources_text__contains=f'"{end}"')


def instances_naming(end: str) -> set[UUID]:
    """The instances that name this end in rules or as manager of routers, now or if a change on trial is taken back."""
    managed = managed_from(end).values_list("pk", flat=True)
    present = naming(end).order_by().values_list("instance", flat=True).union(managed)
    return {*present, *(trial.instance_id for trial in ChangeTrial.objects.naming(end))}


def forget_end(organization_id: UUID, end: str, *, by: Principal) -> None:
    """Remove the rules that name an end which is being deleted, as they could match no packet any more.

    It no longer manages routers either.
    """
    # With the lock, a rule added at the same time is either removed here, or refused since its end is gone.
    managed = {pk for pk, sources in lock_instances(organization_id).items() if end in sources}
    for instance_id in sorted(managed | set(naming(end).values_list("instance", flat=True))):
        try:
            with planning.planned_change(instance_id, by=by, scope=Scope.WHOLE, urgent=True) as locked:
                former = RuleRow.all_of(locked)
                left = [row for row in former if end not in {row.values.source, row.values.destination}]
                naming(end).filter(instance=instance_id).delete()
                generated = managing_rules(locked), _without_source(locked, end)
                documents = ([document_of_rule(row.pk, row.values) for row in some] for some in (former, left))
                planning.touch_rules(
                    locked.pk, *([*own, *rest] for own, rest in zip(generated, documents, strict=True))
                )
                words = _removal_words(former, left, is_managing=instance_id in managed)
                acted(by, "rules removed", locked, details={"changed": words})
            plans = ChangePlan.objects.filter(instance=instance_id, generation=locked.desired_generation)
            plans.update(changed=words)
        except NotPossible:
            # The hub is being deleted, or its server is lost: it needs no change.
            with revising(instance_id, by=by) as watch:
                naming(end).filter(instance=instance_id).delete()
                if instance_id in managed:
                    locked = Instance.objects.get(pk=instance_id)
                    watch.note_before(locked)
                    _without_source(locked, end)
                    locked.save(update_fields=["management_services", "management_sources"])
                    watch.note_after(locked)


def _without_source(locked: Instance, end: str) -> Rules:
    """Take the management of routers from an end; returns the generated rules that are left."""
    if end in locked.management_sources:
        locked.management_sources = [source for source in locked.management_sources if source != end]
        if not locked.management_sources:
            locked.management_services = []
    return managing_rules(locked)


def _removal_words(former: Sequence[RuleRow], left: Sequence[RuleRow], *, is_managing: bool) -> list[Told]:
    values = [[row.values for row in some] for some in (former, left)]
    words = rules_words(*values) if values[0] != values[1] else []
    return [*words, told("settings-changed", names=["management_sources"], begins=not words)] if is_managing else words


def lock_instances(organization_id: UUID) -> dict[UUID, list[str]]:
    """Lock an organization's instances until the transaction ends, so that no rule changes meanwhile.

    Returns who may manage the routers of each.
    """
    rows = Instance.objects.filter(organization=organization_id).order_by("pk")
    return dict(rows.select_for_update(of=("self",)).values_list("pk", "management_sources"))
