"""The rows of an instance that a plan depends on: read without a lock, changed and reverted in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from vpn.choices import PeerType, Protocol
from vpn.desired.compiling import ConcurrentChange
from vpn.desired.firewall import Tags, groups_by_member, rules_of
from vpn.models import Instance, Peer
from vpn.plan.delta import Delta, Record
from vpn.wire.documents import RuleDocument

_ATTEMPTS: Final = 5
_OF_LATER: Final = frozenset({"is_exit", "exit_site", "site__alias"})


class Row(NamedTuple):
    """The columns of a peer on which its profile and its reachability depend."""

    pk: UUID
    type: str
    protocol: str
    host: int
    member: UUID | None
    site: UUID | None
    subnets: list[str]
    route_all: bool
    public_key: str
    certificate: str
    delivered_digest: str
    delivered_host: str
    site__platform: str | None
    site__platform_version: str | None
    is_exit: bool | None = None
    exit_site: UUID | None = None
    site__alias: list[str] | None = None
    # Does the hub admit it?
    is_admitted: bool = True

    @property
    def is_device(self) -> bool:
        """Is it a member's device?"""
        return self.type == PeerType.CLIENT

    @property
    def is_plain(self) -> bool:
        """Does its profile differ from other devices' only in key and addresses?"""
        return self.is_device and self.protocol == Protocol.WIREGUARD and not self.subnets

    @classmethod
    def of(cls, peer: Peer) -> Self:
        """The row of a peer in memory; its site, member and user should be joined."""
        site = peer.site
        return cls(
            pk=peer.pk,
            type=peer.type,
            protocol=peer.protocol,
            host=peer.host,
            member=peer.member_id,
            site=peer.site_id,
            subnets=list(peer.subnets),
            route_all=peer.route_all,
            public_key=peer.public_key,
            certificate=peer.certificate,
            delivered_digest=peer.delivered_digest,
            delivered_host=peer.delivered_host,
            site__platform=site.platform if site is not None else None,
            site__platform_version=site.platform_version if site is not None else None,
            is_exit=peer.is_exit,
            exit_site=peer.exit_site_id,
            site__alias=site.alias if site is not None else None,
            is_admitted=peer.is_admitted,
        )

    def document(self) -> dict[str, Any]:
        """The same as JSON data. Without exit and alias it has the keys that earlier releases read."""
        values = self._asdict().items()
        return {
            name: str(value) if isinstance(value, UUID) else value
            for name, value in values
            if value is not None or name not in _OF_LATER
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """The inverse of `document`."""
        named = ("pk", "member", "site", "exit_site")
        ids = {name: UUID(document[name]) for name in named if document.get(name) is not None}
        return cls(**{**document, **ids})


COLUMNS: Final = Row._fields[:-1]


@dataclass(frozen=True)
class Rows:
    """Everything that reachability and profiles depend on: the instance's own fields, its peers, rules, groups."""

    instance: Instance
    peers: dict[UUID, Row]
    rules: list[RuleDocument]
    # The tags of the groups that rules name before or after, by member.
    groups: dict[UUID, frozenset[str]]
    records: frozenset[Record] = frozenset()

    def changed(self, delta: Delta) -> Rows:
        """These rows after a change that was not made yet."""
        return self._moved(delta, 1)

    def unchanged(self, delta: Delta) -> Rows:
        """These rows before a change that was made."""
        return self._moved(delta, 0)

    def _moved(self, delta: Delta, side: int) -> Rows:
        peers = dict(self.peers)
        for text, sides in delta.peers.items():
            document = sides[side]
            if document is None:
                peers.pop(UUID(text), None)
            else:
                peers[UUID(text)] = Row.from_document(document)
        groups = dict(self.groups)
        for tag, members in delta.group_changes.items():
            for member in map(UUID, members):
                groups[member] = groups.get(member, frozenset()) ^ {tag}
        rules = self.rules if delta.rules is None else delta.rules[side]
        gone, there = (
            frozenset((name, kind, value) for name, kind, value in delta.records[one]) for one in (1 - side, side)
        )
        return Rows(_instance(self.instance, delta, side), peers, rules, groups, (self.records - gone) | there)


def _instance(instance: Instance, delta: Delta, side: int) -> Instance:
    moved = copy.copy(instance)
    if instance.server is not None:
        moved.server = copy.copy(instance.server)
    for name, sides in delta.columns.items():
        if name != "server_networks":
            setattr(moved, name, sides[side])
        elif moved.server is not None:
            moved.server.networks = sides[side]
    return moved


def read_rows(instance_id: UUID, deltas: Iterable[Delta] = ()) -> Rows:
    """The current rows, with the groups that `deltas` name in addition to those of the present rules.

    No lock is held: if a change is committed meanwhile, they are read again. Raises ConcurrentChange, or
    Instance.DoesNotExist.
    """
    ends = {end for delta in deltas for end in delta.ends()}
    for _ in range(_ATTEMPTS):
        instance = Instance.objects.select_related("server", "region").get(pk=instance_id)
        rows = _read(instance, ends)
        now = Instance.objects.values_list("epoch", "desired_generation").get(pk=instance_id)
        if now == (instance.epoch, instance.desired_generation):
            return rows
    raise ConcurrentChange


def _read(instance: Instance, ends: set[str]) -> Rows:
    admitted = set(instance.peers.admitted().order_by().values_list("pk", flat=True))
    found = instance.peers.order_by().values_list(*COLUMNS)
    peers = {values[0]: Row(*(*values, values[0] in admitted)) for values in found}
    rules = rules_of(instance)
    ends = ends | {end for rule in rules for end in (rule["source"], rule["destination"])}
    tags = groups_by_member([end for end in ends if end.startswith("group:")], None)
    records = frozenset(instance.dns_records.order_by().values_list("name", "type", "value"))
    return Rows(instance, peers, rules, {member: frozenset(some) for member, some in tags.items()}, records)


def tags_of(rows: Rows) -> Tags:
    """The tags that the peers carry."""
    return Tags(rows.rules, groups=rows.groups)
