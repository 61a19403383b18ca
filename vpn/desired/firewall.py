"""The firewall in a spec: the instance's rules, and the tags by which they name peers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from portal.models import Group
from vpn.models import Instance, Peer, RuleRow, RuleValues
from vpn.router_services import management_rules
from vpn.wire.documents import RuleDocument
from vpn.wire.rules import ROUTERS

_TAGS = ("site:", "user:", "group:")
_GROUP = "group:"
_FEW = 500


def rules_of(instance: Instance) -> list[RuleDocument]:
    """The instance's rules, in order, after those for the management of routers; one query."""
    return [*managing_rules(instance), *(document_of_rule(row.pk, row.values) for row in RuleRow.all_of(instance))]


def managing_rules(instance: Instance) -> list[RuleDocument]:
    """The generated rules by which routers are managed; they come before the instance's own."""
    return management_rules(instance.management_services, instance.management_sources)


def document_of_rule(pk: UUID, rule: RuleValues) -> RuleDocument:
    """One rule as a document of a spec."""
    return {
        "id": str(pk),
        "action": rule.action,
        "protocol": rule.protocol,
        "ports": _ports(rule.port),
        "source": rule.source,
        "destination": rule.destination,
    }


def _ports(text: str) -> list[int] | None:
    """The first and the last port of "443" or "1000-2000"; None for all."""
    if not text:
        return None
    first, _, last = text.partition("-")
    return [int(first), int(last or first)]


class GroupChange(NamedTuple):
    """A group, and the members who have just joined or left it."""

    group_id: UUID
    members: Collection[UUID]


class Tags:
    """The tags of peers. Peers only get tags that the instance's rules name, so that no other change reaches a hub.

    With `peers`, groups are read for these peers only. If the tags of the groups are given, by member, nothing is read.
    """

    def __init__(
        self,
        rules: Iterable[RuleDocument],
        peers: Collection[Peer] | None = None,
        groups: Mapping[UUID, Collection[str]] | None = None,
    ) -> None:
        ends = {end for rule in rules for end in (rule["source"], rule["destination"])}
        self._groups: Mapping[UUID, Collection[str]]
        self._named = {end for end in ends if end.startswith(_TAGS) or end == ROUTERS}
        if groups is not None:
            self._groups = groups
            return
        tags = [end for end in self._named if end.startswith(_GROUP)]
        few = peers is not None and len(peers) <= _FEW
        members = {peer.member_id for peer in peers or () if peer.member_id is not None} if few else None
        self._groups = groups_by_member(tags, members)

    def of(self, peer: Peer) -> list[str]:
        """One peer's tags, sorted; makes no query."""
        return self.of_owner(peer.site_id, peer.member_id)

    def of_owner(self, site_id: UUID | None, member_id: UUID | None) -> list[str]:
        """The tags of the peers of a site or a member, sorted."""
        if site_id is not None:
            own = [f"site:{site_id}", ROUTERS]
        elif member_id is not None:
            own = [f"user:{member_id}", *self._groups.get(member_id, ())]
        else:
            own = []
        return sorted(tag for tag in own if tag in self._named)


def groups_by_member(tags: list[str], members: set[UUID] | None) -> dict[UUID, list[str]]:
    """The tags of these groups, by the id of each of the members (None: all) in them; at most one query."""
    found: dict[UUID, list[str]] = {}
    if tags and (members is None or members):
        rows = Group.members.through.objects.filter(group__in=[UUID(tag.removeprefix(_GROUP)) for tag in tags])
        if members is not None:
            rows = rows.filter(membership__in=members)
        for member_id, group_id in rows.values_list("membership", "group"):
            found.setdefault(member_id, []).append(f"{_GROUP}{group_id}")
    return found
