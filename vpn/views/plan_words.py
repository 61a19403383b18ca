"""A plan as pages show it: names in place of ids, sentences in place of lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from portal.models import Membership
from vpn.models import ChangePlan, Operation, Peer, Site
from vpn.views.plan_sentences import sentences

# As many names as anybody reads; the peers' list has them all.
_MOST_DEVICES = 200
_MOST_SENTENCES = 40


@dataclass(frozen=True)
class PlanWords:
    """What a change means. `outdated` and `told` are devices by name, `outdated_count` how many there are in all."""

    opens: list[str]
    closes: list[str]
    is_truncated: bool
    outdated: list[str]
    outdated_count: int
    delivered: int
    told: list[str]
    told_count: int

    @property
    def is_empty(self) -> bool:
        """Does nobody notice?"""
        return not (self.opens or self.closes or self.outdated_count or self.told_count or self.is_truncated)


@dataclass(frozen=True)
class ShownPlan:
    """A plan that was noted, with its words."""

    noted: ChangePlan
    words: PlanWords


def plans_of(operations: Iterable[Operation]) -> dict[UUID, list[ShownPlan]]:
    """What the changes mean that these operations carried, by operation."""
    noted = list(ChangePlan.objects.filter(operation__in=list(operations)))
    shown: dict[UUID, list[ShownPlan]] = {}
    for plan, words in zip(noted, words_of(plan.plan for plan in noted), strict=True):
        if plan.operation_id is not None:
            shown.setdefault(plan.operation_id, []).append(ShownPlan(plan, words))
    return shown


def words_of(plans: Iterable[Mapping[str, Any]]) -> list[PlanWords]:
    """These plans (as Plan.document has them) in words; three queries for all of them."""
    plans = list(plans)
    names = _Names(plans)
    return [_words(plan, names) for plan in plans]


def _words(plan: Mapping[str, Any], names: _Names) -> PlanWords:
    lines = plan.get("reachability", [])
    opens, closes = (sentences(lines, names.end, opens=opens) for opens in (True, False))
    outdated, told = plan.get("outdated", []), plan.get("told", [])
    return PlanWords(
        opens=opens[:_MOST_SENTENCES],
        closes=closes[:_MOST_SENTENCES],
        is_truncated=plan.get("truncated", False) or max(len(opens), len(closes)) > _MOST_SENTENCES,
        outdated=names.devices(outdated),
        outdated_count=len(outdated),
        delivered=plan.get("delivered", 0),
        told=names.devices(told),
        told_count=len(told),
    )


class _Names:
    """Whatever the plans name, by id."""

    def __init__(self, plans: list[Mapping[str, Any]]) -> None:
        ends = {
            line[end] for plan in plans for line in plan.get("reachability", []) for end in ("source", "destination")
        }
        self._ends = {"any": "the internet"}
        members = Membership.objects.filter(pk__in=_ids(ends, "user:")).select_related("user")
        self._ends |= {f"user:{member.pk}": member.label for member in members}
        self._ends |= {f"site:{site.pk}": site.name for site in Site.objects.filter(pk__in=_ids(ends, "site:"))}
        wanted = {pk for plan in plans for kind in ("outdated", "told") for pk in plan.get(kind, [])[:_MOST_DEVICES]}
        peers = Peer.objects.filter(pk__in=wanted).select_related("member__user", "site")
        self._devices = {str(peer.pk): device_name(peer) for peer in peers}

    def end(self, text: str) -> str:
        """An end of a line: a person, a site, the internet, or a network as it is."""
        if text.startswith(("user:", "site:")):
            return self._ends.get(text, "somebody who left" if text.startswith("user:") else "the site")
        return self._ends.get(text, text)

    def devices(self, ids: list[str]) -> list[str]:
        """The first of these peers by name, those that are still there."""
        return sorted(self._devices[pk] for pk in ids[:_MOST_DEVICES] if pk in self._devices)


def device_name(peer: Peer) -> str:
    """A peer in a list of devices: "Anna (laptop)", or the site."""
    if peer.member is None or not peer.device:
        return peer.label
    return f"{peer.member.label} ({peer.device})"


def _ids(ends: Iterable[str], kind: str) -> list[UUID]:
    return [UUID(end.removeprefix(kind)) for end in ends if end.startswith(kind)]
