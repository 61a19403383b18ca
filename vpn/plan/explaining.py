"""Computes what a change means, from an instance before and after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from vpn.choices import ProfileState, Protocol
from vpn.models import Peer
from vpn.plan.exits import ExitChange, exits_changed
from vpn.plan.named import Diverted, NameChange, diverted, names_changed
from vpn.plan.nesting import nested
from vpn.plan.rows import Row
from vpn.plan.snapshot import Snapshot, peer_of
from vpn.profiles.state import current_digest
from vpn.profiles.tunnel_routes import routes_of
from vpn.reach.effects import Budget, Exhausted
from vpn.reach.fates import Fates
from vpn.reach.idle import idle_rules
from vpn.reach.listing import Line
from vpn.reach.reachability import differences
from vpn.wire.rules import ROUTERS

# A plan names at most this many peers.
MOST_NAMED = 200
# About two seconds of processor time.
MOST_STEPS = 2_000_000
# Costs in steps: a device's digest, any other profile, and a network that is sorted or compared.
_DIGEST_COST = 5
_PROFILE_COST = 100
_ROUTE_COST = 5
_NESTING_COST = 10


class Size(NamedTuple):
    """How much a plan compares: peers, rules, and networks of sites."""

    peers: int
    rules: int
    networks: int

    def plus(self, other: Size) -> Size:
        """The sum of both."""
        return Size(*(one + more for one, more in zip(self, other, strict=True)))


def too_much(size: Size, cut: Collection[str]) -> str:
    """A sentence on the parts of a plan that were too large to compute."""
    if "profiles" in cut and {"reach", "lines"} & set(cut):
        words = _("%(counts)s are too many to compute who reaches whom and which profiles become outdated.")
    elif "profiles" in cut:
        words = _("%(counts)s are too many to compute which profiles become outdated.")
    else:
        words = _("%(counts)s are too many to compute who reaches whom.")
    sentence = words % {"counts": _counts(size)}
    return f"{sentence} {_('What is listed here is right, but may be incomplete.')}"


def _counts(size: Size) -> str:
    peers = ngettext("%(count)s peer", "%(count)s peers", size.peers) % {"count": grouped(size.peers)}
    rules = ngettext("%(count)s rule", "%(count)s rules", size.rules) % {"count": grouped(size.rules)}
    networks = ngettext("%(count)s network", "%(count)s networks", size.networks) % {"count": grouped(size.networks)}
    words = _("%(peers)s, %(rules)s and %(networks)s of sites")
    return words % {"peers": peers, "rules": rules, "networks": networks}


class Taken(NamedTuple):
    """A network of the site `by` that lies within a network of the site `of`.

    Its traffic is routed to the more specific one from now on (`begins`), or no longer.
    """

    network: str
    by: str
    within: str
    of: str
    begins: bool


@dataclass
class Plan:
    """What a change means.

    `outdated` are the peers whose delivered profile is current before and not after, out of `delivered`. `pushed` are
    the OpenVPN peers whose pushed options change; of these `reconnecting` are connected now, and the hub makes them
    reconnect. `fates` groups what `reachability` lists. `idle_rules` are the numbers of new rules without effect.
    `taken` are networks that come to lie within another site's, or cease to: the more specific route wins. `nowhere`
    are the pushed routes whose packets the hub drops from now on.

    `cut` names what was not computed within the steps: "reach", who reaches whom; "lines", only its list of lines;
    "profiles", which are outdated.
    """

    reachability: list[Line] = field(default_factory=list)
    truncated: bool = False
    fates: Fates = field(default_factory=Fates)
    idle_rules: list[int] = field(default_factory=list)
    outdated: list[UUID] = field(default_factory=list)
    delivered: int = 0
    pushed: list[UUID] = field(default_factory=list)
    reconnecting: int = 0
    taken: list[Taken] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)
    names: list[NameChange] = field(default_factory=list)
    diverted: list[Diverted] = field(default_factory=list)
    exits: list[ExitChange] = field(default_factory=list)
    size: Size = field(default_factory=lambda: Size(0, 0, 0))
    cut: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Does the change affect no user?"""
        said = self.reachability or self.truncated or self.taken or self.nowhere or self.cut - {"lines"}
        return not (said or self.outdated or self.pushed or self.names or self.diverted or self.exits)

    def document(self, *, most_lines: int) -> dict[str, Any]:
        """The plan as JSON data, with its first lines and peers, and the number of all of them."""
        return {
            "reachability": [line._asdict() for line in self.reachability[:most_lines]],
            "truncated": self.truncated or len(self.reachability) > most_lines,
            "fates": self.fates.document(),
            "fates_complete": self.fates.is_complete,
            "idle_rules": self.idle_rules,
            "outdated": [str(pk) for pk in self.outdated[:MOST_NAMED]],
            "outdated_count": len(self.outdated),
            "delivered": self.delivered,
            # Stored plans keep this key, since two versions read them during an upgrade.
            "told": [str(pk) for pk in self.pushed[:MOST_NAMED]],
            "told_count": len(self.pushed),
            "reconnecting_count": self.reconnecting,
            "taken": [taken._asdict() for taken in self.taken[:most_lines]],
            "nowhere": self.nowhere[:most_lines],
            "names": [one._asdict() for one in self.names[:most_lines]],
            "diverted": [one._asdict() for one in self.diverted[:most_lines]],
            "exits": [one._asdict() for one in self.exits[:most_lines]],
            "size": self.size._asdict(),
            "cut": sorted(self.cut),
        }


def explain(before: Snapshot, after: Snapshot, most_steps: int = MOST_STEPS, *, with_profiles: bool = True) -> Plan:
    """What the change from one snapshot to the other means, as far as `most_steps` of work suffice.

    Without `with_profiles`, nothing is said about profiles and pushed options.
    """
    budget = Budget(most_steps)
    principals = {**before.principals, **after.principals}
    plan = Plan(
        delivered=sum(1 for row in after.rows.values() if row.delivered_digest) if with_profiles else 0,
        nowhere=[route for route in after.nowhere if route not in before.nowhere],
        names=names_changed(before, after),
        diverted=diverted(before, after),
        exits=exits_changed(before, after),
        size=Size(
            max(len(before.rows), len(after.rows)),
            max(len(before.hub.rules), len(after.hub.rules)),
            max(before.networks, after.networks),
        ),
    )
    # Profiles come first: they cost least, and mails depend on them.
    if with_profiles:
        with _noting(plan, "profiles"):
            plan.outdated = _outdated(before, after, budget)
            plan.pushed = _pushed(before, after, budget)
    with _noting(plan, "reach"):
        budget.spend(_NESTING_COST * (before.networks + after.networks))
        plan.taken = _taken(before, after)
    found = differences(before.hub, after.hub, principals, budget=budget)
    plan.reachability, plan.truncated, plan.fates = found
    if budget.is_exceeded and plan.truncated:
        plan.cut.add("lines")
    if budget.is_exceeded and not (plan.fates.is_complete and plan.fates.counts):
        plan.cut.add("reach")
    # The generated rules for managing routers come first, and have no number.
    generated = sum(rule.destination == ROUTERS for rule in after.hub.rules)
    numbers = idle_rules(before.hub, after.hub, principals, budget)
    plan.idle_rules = [number - generated for number in numbers if number > generated]
    return plan


@contextmanager
def _noting(plan: Plan, part: str) -> Iterator[None]:
    """Note that a part of the plan needs more steps than are left."""
    try:
        yield
    except Exhausted:
        plan.cut.add(part)


def _taken(before: Snapshot, after: Snapshot) -> list[Taken]:
    """The nested networks of sites that exist on only one side of the change."""
    sides = [set(nested(side.sites)) for side in (before, after)]
    names = {**before.principals, **after.principals}
    return [
        Taken(str(one.network), names[str(one.taker)], str(one.within), names[str(one.giver)], begins=begins)
        for begins, some in ((True, sides[1] - sides[0]), (False, sides[0] - sides[1]))
        for one in sorted(some, key=lambda one: (one.network.version, one.network.network_address, one.network))
    ]


def together(plans: Iterable[Plan]) -> Plan:
    """One plan for changes of several instances; what they have in common is listed once."""
    whole = Plan()
    for plan in plans:
        whole.reachability = list(dict.fromkeys([*whole.reachability, *plan.reachability]))
        whole.truncated |= plan.truncated
        whole.outdated += plan.outdated
        whole.delivered += plan.delivered
        whole.pushed += plan.pushed
        whole.taken = list(dict.fromkeys([*whole.taken, *plan.taken]))
        whole.fates.add(plan.fates)
        whole.idle_rules += plan.idle_rules
        whole.nowhere = list(dict.fromkeys([*whole.nowhere, *plan.nowhere]))
        whole.names = list(dict.fromkeys([*whole.names, *plan.names]))
        whole.diverted = list(dict.fromkeys([*whole.diverted, *plan.diverted]))
        whole.exits = list(dict.fromkeys([*whole.exits, *plan.exits]))
        whole.size = whole.size.plus(plan.size)
        whole.cut |= plan.cut
    return whole


def _outdated(before: Snapshot, after: Snapshot, budget: Budget) -> list[UUID]:
    """The peers whose delivered profile is current before the change, but not after it. Raises Exhausted."""
    budget.spend(len(before.rows))
    shared = _SharedParts(before, after)
    concerned = [
        row
        for row in before.rows.values()
        if row.delivered_digest and row.pk in after.rows and (row != after.rows[row.pk] or shared.differ(row))
    ]
    budget.spend(sum(_cost(side, row) for row in concerned for side in (before, after)))
    states = before.states(concerned)
    current = [row for row in concerned if states[row.pk] == ProfileState.CURRENT]
    own_changed = [after.rows[row.pk] for row in current if not row.is_device or row != after.rows[row.pk]]
    still = {pk for pk, state in after.states(own_changed).items() if state == ProfileState.CURRENT}
    return [row.pk for row in current if row.pk not in still]


def _cost(side: Snapshot, row: Row) -> int:
    """How many steps a profile costs. One with routes of its own goes through the networks of all sites."""
    if row.is_plain:
        return _DIGEST_COST
    is_same_for_all = row.is_device and not row.subnets
    return _PROFILE_COST + (0 if is_same_for_all or row.route_all else _ROUTE_COST * side.networks)


class _SharedParts:
    """The parts that are equal in all devices' profiles, compared once for all.

    Each device's own keys and addresses are not among them.
    """

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self._sides = before, after
        self._known: dict[tuple[str, bool], bool] = {}

    def differ(self, row: Row) -> bool:
        """Does the change alter the profile of this kind of row? For a site it may always do."""
        if not row.is_device:
            return True
        kind = row.protocol, row.route_all
        if kind not in self._known:
            digests = {current_digest(_stand_in(side, row), side.sites) for side in self._sides}
            self._known[kind] = len(digests) > 1
        return self._known[kind]


def _stand_in(side: Snapshot, row: Row) -> Peer:
    peer = peer_of(row)
    peer.instance = side.instance
    return peer


def _pushed(before: Snapshot, after: Snapshot, budget: Budget) -> list[UUID]:
    """The OpenVPN peers whose pushed options change. Raises Exhausted."""
    known: dict[tuple[str, bool, UUID | None], bool] = {}
    found = []
    for pk, row in after.rows.items():
        if row.protocol != Protocol.OPENVPN or pk not in before.rows or before.rows[pk].protocol != row.protocol:
            continue
        kind = row.type, row.route_all, row.site
        budget.spend()
        if kind not in known:
            budget.spend(sum(_PROFILE_COST + _ROUTE_COST * side.networks for side in (before, after)))
            known[kind] = _tells(before, before.rows[pk]) != _tells(after, row)
        if known[kind]:
            found.append(pk)
    return found


def _tells(side: Snapshot, row: Row) -> object:
    """The options that the hub pushes to an OpenVPN peer: search domains, and routes."""
    peer = _stand_in(side, row)
    if peer.site is not None and peer.site.has_static_routes:
        return None
    domains = side.instance.domains if row.is_device else []
    return domains, routes_of(peer, side.sites)
