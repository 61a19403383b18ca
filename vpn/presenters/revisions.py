"""Revisions in words: the list, two of them side by side, and the difference in who reaches whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.figures import grouped
from vpn.actions.activity.plan_turn import PlanBusy, compare_in_turn
from vpn.actions.activity.planning import MOST_NOTED_LINES
from vpn.choices import FirewallPolicy, RuleAction, RuleProtocol
from vpn.desired import ConcurrentChange
from vpn.models import Instance, Revision, RuleValues
from vpn.presenters.activity.plan import PlanWords, words_of
from vpn.revisions.comparing import Difference, Line, column_lines, record_lines, rule_pairs, site_lines
from vpn.revisions.rows import lost_sites
from vpn.revisions.sections import Document, document_of, names_of_ends
from vpn.router_services import RouterService

_SETTINGS: Final = {"name": gettext_lazy("Name"), "mtu": gettext_lazy("MTU"), "pool_v4": gettext_lazy("Pool")}
_ROUTES: Final = {"pushed_routes": gettext_lazy("Pushed routes")}
_DNS: Final = {
    "public_dns": gettext_lazy("DNS servers"),
    "domains": gettext_lazy("Domains"),
    "split_dns": gettext_lazy("Servers of the domains"),
}
_POLICY: Final = {"firewall_policy": gettext_lazy("Between peers")}
_MANAGEMENT: Final = {
    "management_services": gettext_lazy("Services for managing routers"),
    "management_sources": gettext_lazy("Who may manage routers"),
}
_KINDS: Final = {
    "site": gettext_lazy("site"),
    "group": gettext_lazy("group"),
    "user": gettext_lazy("member"),
}


@dataclass(frozen=True)
class Section:
    """One section side by side. Columns that never have rows of their own are shown also where they are equal."""

    title: str
    lines: Sequence[Line]

    @property
    def differs(self) -> bool:
        """Does any line differ?"""
        return any(line.difference is not Difference.SAME for line in self.lines)


@dataclass(frozen=True)
class Reach:
    """The difference in who reaches whom: `words`, or why there are none. `lost` are sites that were left out."""

    words: PlanWords | None = None
    is_large: bool = False
    is_busy: bool = False
    lost: Sequence[str] = ()


def sections_of(before: Revision, after: Revision) -> list[Section]:
    """All sections of two revisions with their content, in the order of an instance's tabs."""
    sides = document_of(before), document_of(after)
    return [
        Section(_("Routes"), [*_columns(sides, _ROUTES), *site_lines(*sides)]),
        Section(_("DNS"), [*_columns(sides, _DNS), *record_lines(*sides)]),
        Section(_("Firewall"), [*_policy(sides), *_management(sides), *_rules(*sides)]),
        Section(_("Settings"), _columns(sides, _SETTINGS)),
    ]


def reach_between(instance: Instance, before: Revision, after: Revision, *, in_full: bool) -> Reach:
    """Who reaches whom only with one of the revisions, with the peers and groups of today."""
    sides = document_of(before), document_of(after)
    lost = lost_sites(instance, sides)
    try:
        plan = compare_in_turn(instance.pk, *sides, in_full=in_full)
    except (ConcurrentChange, PlanBusy):
        return Reach(is_busy=True, lost=lost)
    if plan is None:
        return Reach(is_large=True, lost=lost)
    [words] = words_of([plan.document(most_lines=MOST_NOTED_LINES)])
    return Reach(words, lost=lost)


def line_above(revision: Revision) -> UUID | None:
    """The id after that of the journal's line: the Activity page shows what comes before it."""
    return None if revision.line is None else UUID(int=revision.line.int + 1)


def _columns(sides: tuple[Document, Document], labels: Mapping[str, object]) -> list[Line]:
    return column_lines(*sides, {name: str(label) for name, label in labels.items()})


def _policy(sides: tuple[Document, Document]) -> list[Line]:
    [line] = _columns(sides, _POLICY)
    labels = dict(FirewallPolicy.choices)
    return [line._replace(before=_labelled(line.before, labels), after=_labelled(line.after, labels))]


def _management(sides: tuple[Document, Document]) -> list[Line]:
    """Who may manage routers, by which services; nothing where nobody may in either revision."""
    lines = [line for line in _columns(sides, _MANAGEMENT) if any((*line.before, *line.after))]
    names = names_of_ends(end for line in lines for end in (*line.before, *line.after))
    labels: dict[str, object] = dict(RouterService.choices)
    return [
        line._replace(before=_managing(line.before, labels, names), after=_managing(line.after, labels, names))
        for line in lines
    ]


def _managing(values: Iterable[str], labels: Mapping[str, object], names: Mapping[str, str]) -> list[str]:
    return [str(labels.get(value) or _end(value, names)) for value in values if value]


def _labelled(values: Iterable[str], labels: Mapping[str, object]) -> list[str]:
    return [str(labels.get(value, value)) for value in values]


def _rules(before: Document, after: Document) -> list[Line]:
    pairs, rest = rule_pairs(before.rules, after.rules)
    lines = []
    for pair in pairs:
        lines += _skipped(pair.skipped)
        names = [side[1].name for side in (pair.after, pair.before) if side is not None and side[1].name]
        lines.append(Line(names[0] if names else _("Rule"), _rule(pair.before, before), _rule(pair.after, after)))
    return lines + _skipped(rest)


def _skipped(number: int) -> list[Line]:
    if not number:
        return []
    words = _("%(count)s equal rules") if number > 1 else _("%(count)s equal rule")
    return [Line(words % {"count": grouped(number)}, (), (), is_gap=True)]


def _rule(side: tuple[int, RuleValues] | None, document: Document) -> list[str]:
    if side is None:
        return []
    number, rule = side
    what = _what(rule)
    ends = (_end(rule.source, document.names), _end(rule.destination, document.names))
    return [
        _("%(number)s. %(what)s from %(source)s to %(destination)s")
        % {"number": number, "what": what, "source": ends[0], "destination": ends[1]}
    ]


def _what(rule: RuleValues) -> str:
    action = str(dict(RuleAction.choices).get(rule.action, rule.action))
    if rule.protocol == RuleProtocol.ANY and not rule.port:
        return action
    protocol = str(dict(RuleProtocol.choices).get(rule.protocol, rule.protocol))
    return f"{action} {protocol} {rule.port}".rstrip()


def _end(end: str, names: Mapping[str, str]) -> str:
    """An end in words, with the name that it had then."""
    if end == "any":
        return _("anything")
    kind, colon, _id = end.partition(":")
    if not colon or kind not in _KINDS:
        return end
    name = names.get(end)
    return f"{name} ({_KINDS[kind]})" if name else _("a former %(kind)s") % {"kind": _KINDS[kind]}
