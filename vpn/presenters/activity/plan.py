"""A plan as pages show it: names instead of ids, groups instead of lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from portal.models import Membership
from portal.told import in_words, told
from vpn.actions.activity.plan_mail import can_be_mailed
from vpn.models import ChangePlan, Instance, Operation, Peer, Site
from vpn.plan.explaining import Size, too_much
from vpn.presenters.activity.plan_groups import GroupRow, counts_of, rows_of
from vpn.presenters.activity.plan_mail import mail_words
from vpn.presenters.activity.plan_sentences import diverted_sentences, exit_sentences, name_sentences, taken_sentences


@dataclass(frozen=True)
class PlanWords:
    """What a change means. `outdated` and `pushed` are devices by name; the `_count` fields count all of them."""

    # Sentences that count who loses or gains access, then rows that name them.
    counts: list[str]
    opens: list[GroupRow]
    closes: list[GroupRow]
    is_truncated: bool
    # The numbers of new rules that have no effect.
    idle_rules: list[int]
    outdated: list[str]
    outdated_count: int
    delivered: int
    pushed: list[str]
    pushed_count: int
    # How many of these are connected now and reconnect by themselves.
    reconnecting_count: int
    # Sentences on networks that lie within another site's.
    taken: list[str]
    # Pushed routes whose packets the hub drops from now on.
    nowhere: list[str]
    # Sentences on names that are answered differently, and on internet networks routed through the hub.
    names: list[str]
    diverted: list[str]
    # Sentences on who reaches the internet through another exit.
    exits: list[str]
    # Can a mail about it be sent to any member?
    has_people: bool
    # A sentence on what was too large to compute.
    too_much: str = ""
    # A sentence on a change of the hub's address.
    moved: str = ""

    @property
    def is_empty(self) -> bool:
        """Does the change affect no user?"""
        said = self.opens or self.closes or self.taken or self.nowhere or self.names or self.diverted or self.exits
        noticed = self.outdated_count or self.pushed_count or self.moved
        return not (said or noticed or self.is_truncated or self.too_much)


@dataclass(frozen=True)
class ShownPlan:
    """A stored plan with its words, and the words about its mail, if that was requested."""

    noted: ChangePlan
    words: PlanWords
    mail: str = ""


def plans_of(operations: Iterable[Operation]) -> dict[UUID, list[ShownPlan]]:
    """The plans of the changes that these operations carried, by operation."""
    noted = list(ChangePlan.objects.filter(operation__in=list(operations)).defer("outdated", "delta"))
    mail = mail_words(noted)
    shown: dict[UUID, list[ShownPlan]] = {}
    for plan, words in zip(noted, words_of(plan.plan for plan in noted), strict=True):
        if plan.operation_id is not None:
            shown.setdefault(plan.operation_id, []).append(ShownPlan(plan, words, mail.get(plan.pk, "")))
    return shown


def moved_plan(instance: Instance) -> ShownPlan | None:
    """The last change of the hub's address, with the peers that it cuts off and the state of the mail to them."""
    noted = ChangePlan.objects.filter(instance=instance, plan__address__isnull=False).defer("outdated", "delta").last()
    if noted is None:
        return None
    (words,) = words_of([noted.plan])
    return ShownPlan(noted, words, mail_words([noted]).get(noted.pk, ""))


def words_of(plans: Iterable[Mapping[str, Any]], *, new_site: str = "") -> list[PlanWords]:
    """These plans (as Plan.document has them) in words; three queries for all of them.

    `new_site` is the name of a site that does not exist yet.
    """
    plans = list(plans)
    names = _Names(plans, new_site)
    return [_words(plan, names) for plan in plans]


def _words(plan: Mapping[str, Any], names: _Names) -> PlanWords:
    rows = rows_of(plan, names.end)
    outdated, pushed = plan.get("outdated", []), plan.get("told", [])
    outdated_count = plan.get("outdated_count", 0)
    # Groups are complete even if there are too many lines.
    cut = [part for part in plan.get("cut", []) if part != "lines"]
    return PlanWords(
        moved=f"{in_words(told('address-moved', **plan['address']))}." if plan.get("address") else "",
        counts=counts_of(plan),
        opens=[row for row in rows if row.opens],
        closes=[row for row in rows if not row.opens],
        # Older plans were stored without groups and have only the first lines.
        is_truncated=not plan["fates_complete"] if "fates_complete" in plan else plan.get("truncated", False),
        idle_rules=plan.get("idle_rules", []),
        outdated=names.devices(outdated),
        outdated_count=outdated_count,
        delivered=plan.get("delivered", 0),
        pushed=names.devices(pushed),
        pushed_count=plan.get("told_count", 0),
        reconnecting_count=plan.get("reconnecting_count", 0),
        taken=taken_sentences(plan.get("taken", []), names.end),
        nowhere=plan.get("nowhere", []),
        names=name_sentences(plan.get("names", [])),
        diverted=diverted_sentences(plan.get("diverted", [])),
        exits=exit_sentences(plan.get("exits", []), names.end),
        too_much=too_much(Size(**plan["size"]), cut) if cut else "",
        has_people=outdated_count > len(outdated) or names.has_people(outdated),
    )


class _Names:
    """The names of everything in the plans, by id."""

    def __init__(self, plans: list[Mapping[str, Any]], new_site: str = "") -> None:
        self._new_site = new_site or _("the site")
        ends = {end for plan in plans for end in _ends(plan)}
        ends |= {line[end] for plan in plans for line in plan.get("taken", []) for end in ("by", "of")}
        ends |= {line[end] for plan in plans for line in plan.get("exits", []) for end in ("who", "site")}
        self._ends = {
            "any": _("the internet"),
            "0.0.0.0/0": _("the internet over IPv4"),
            "::/0": _("the internet over IPv6"),
        }
        members = Membership.objects.filter(pk__in=_ids(ends, "user:")).select_related("user")
        self._ends |= {f"user:{member.pk}": member.label for member in members}
        self._ends |= {f"site:{site.pk}": site.name for site in Site.objects.filter(pk__in=_ids(ends, "site:"))}
        wanted = {pk for plan in plans for kind in ("outdated", "told") for pk in plan.get(kind, [])}
        peers = list(Peer.objects.filter(pk__in=wanted).select_related("member__user", "site"))
        self._devices = {str(peer.pk): device_name(peer) for peer in peers}
        self._people = {str(peer.pk) for peer in peers if peer.member is not None and can_be_mailed(peer.member)}

    def end(self, text: str) -> str:
        """The name of an end: a person, a site, the internet, or the network itself."""
        if text.startswith(("user:", "site:")):
            return self._ends.get(text, _("a former member") if text.startswith("user:") else self._new_site)
        return self._ends.get(text, text)

    def devices(self, ids: list[str]) -> list[str]:
        """The names of these peers, without deleted ones."""
        return sorted(self._devices[pk] for pk in ids if pk in self._devices)

    def has_people(self, ids: list[str]) -> bool:
        """Does one of these peers belong to a member who can receive mail?"""
        return not self._people.isdisjoint(ids)


def device_name(peer: Peer) -> str:
    """A peer in a list of devices: "Anna (laptop)", or the site."""
    if peer.member is None or not peer.device:
        return peer.label
    return _("%(member)s (%(device)s)") % {"member": peer.member.label, "device": peer.device}


def _ends(plan: Mapping[str, Any]) -> Iterable[str]:
    if plan.get("fates", {}).get("rows"):
        return (end for group in plan["fates"]["groups"] for end in group["ends"])
    return (line[end] for line in plan.get("reachability", []) for end in ("source", "destination"))


def _ids(ends: Iterable[str], kind: str) -> list[UUID]:
    return [UUID(end.removeprefix(kind)) for end in ends if end.startswith(kind)]
