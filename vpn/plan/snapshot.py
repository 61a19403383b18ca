"""An instance's rows as they are at one moment: all that a plan compares, read at once and quickly."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from vpn.agent.checks import Faults
from vpn.agent.rules import parse_rules
from vpn.choices import PeerType, ProfileState, Protocol
from vpn.desired.firewall import Tags, Turned, rules_of
from vpn.desired.header import hub_addresses
from vpn.desired.peers import canonical_subnets
from vpn.desired.ways import Way, ways_of
from vpn.models import Instance, Peer, Site
from vpn.plan.hub import End, Hub
from vpn.profiles.peer import DeviceDigests, SiteSubnets, has_moved, profile_states, site_subnets


class Row(NamedTuple):
    """A peer's row as far as its profile and its reach follow from it."""

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

    @property
    def is_device(self) -> bool:
        """Is it a member's device?"""
        return self.type == PeerType.CLIENT

    @property
    def is_plain(self) -> bool:
        """Does its profile differ from those of other devices in key and addresses alone?"""
        return self.is_device and self.protocol == Protocol.WIREGUARD and not self.subnets


@dataclass(frozen=True)
class Snapshot:
    """What the plan of a change compares: `hub` is what the firewall goes by, `rows` are all peers by id."""

    instance: Instance
    rows: dict[UUID, Row]
    sites: SiteSubnets
    hub: Hub = field(repr=False)
    # The pushed routes that lead nowhere.
    nowhere: tuple[str, ...] = ()

    @cached_property
    def principals(self) -> dict[str, str]:
        """Whose each peer is, by its id in the hub."""
        return {
            str(row.pk): f"user:{row.member}" if row.is_device else f"site:{row.site}" for row in self.rows.values()
        }

    def states(self, rows: list[Row]) -> dict[UUID, ProfileState]:
        """How the delivered profiles of these rows stand."""
        devices = DeviceDigests(self.instance, self.sites)
        states = {row.pk: self._state(row, devices) for row in rows if row.is_plain}
        rest = [peer_of(row) for row in rows if not row.is_plain]
        return states | profile_states(self.instance, rest, self.sites)

    def _state(self, row: Row, devices: DeviceDigests) -> ProfileState:
        if not row.delivered_digest:
            return ProfileState.UNDELIVERED
        digest = devices.of(row.host, row.public_key, route_all=row.route_all)
        is_current = row.delivered_digest == digest and not has_moved(self.instance, row.delivered_host)
        return ProfileState.CURRENT if is_current else ProfileState.OUTDATED


def snapshot(instance: Instance, turned: Turned | None = None) -> Snapshot:
    """The instance as its rows are now, and as its own fields are in memory; as if `turned` had not happened yet."""
    rows = {values[0]: Row(*values) for values in instance.peers.order_by().values_list(*Row._fields)}
    admitted = set(instance.peers.admitted().order_by().values_list("pk", flat=True))
    documents = rules_of(instance)
    tags = Tags(documents)
    if turned is not None:
        tags.turn_back(turned)
    ends = {str(pk): end_of(instance, row, tags) for pk, row in rows.items() if pk in admitted}
    ways = ways_of(instance)
    hub = Hub(
        addresses=tuple(hub_addresses(instance)),
        peers=ends,
        rules=parse_rules(documents, Faults()),
        allows=instance.firewall_policy == "allow",
        opened=tuple(route for route, way in ways.items() if way is Way.SERVER),
        server=instance.server.addresses if instance.server is not None else (),
    )
    nowhere = tuple(route for route, way in ways.items() if way is Way.NOWHERE)
    return Snapshot(copy.copy(instance), rows, site_subnets(instance), hub, nowhere)


def end_of(instance: Instance, row: Row, tags: Tags) -> End:
    """A peer's row as the firewall sees it."""
    own = instance.own_networks(row.host)
    return End((*own, *canonical_subnets(row.subnets)), tuple(tags.of_owner(row.site, row.member)))


def peer_of(row: Row) -> Peer:
    """A peer without a name, for its profile to be worked out; never to be saved."""
    values: dict[str, Any] = {name: value for name, value in row._asdict().items() if "__" not in name}
    values["member_id"] = values.pop("member")
    values["site_id"] = values.pop("site")
    peer = Peer(**values)
    peer.member = None
    if row.site is not None:
        peer.site = Site(
            pk=row.site, platform=row.site__platform or "", platform_version=row.site__platform_version or ""
        )
    return peer
