"""What a plan compares, computed from rows: the firewall's input, and the profiles' input."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from vpn.choices import ProfileState
from vpn.desired.firewall import Tags
from vpn.desired.header import hub_addresses
from vpn.desired.peers import canonical_subnets
from vpn.desired.ways import Way, Ways, allowed_behind
from vpn.models import Instance, Peer, Site
from vpn.plan.delta import Record
from vpn.plan.rows import Row, Rows, tags_of
from vpn.profiles.management import managers_among
from vpn.profiles.state import ProfileDigests, has_moved, profile_states
from vpn.profiles.tunnel_routes import SiteSubnets
from vpn.reach.hub import End, Hub
from vpn.validators import parse_network
from vpn.wire.parsing import Faults
from vpn.wire.rules import ROUTERS, parse_rules


@dataclass(frozen=True)
class Snapshot:
    """What the plan of a change compares: `hub` is the firewall's input, `rows` are all peers by id."""

    instance: Instance
    rows: dict[UUID, Row]
    sites: SiteSubnets
    hub: Hub = field(repr=False)
    # The pushed routes whose packets the hub drops.
    nowhere: tuple[str, ...] = ()
    # Those that lead out to the internet.
    internet: tuple[str, ...] = ()
    records: frozenset[Record] = frozenset()

    @cached_property
    def principals(self) -> dict[str, str]:
        """The owner of each peer, by the peer's id in the hub."""
        return {
            str(row.pk): f"user:{row.member}" if row.is_device else f"site:{row.site}" for row in self.rows.values()
        }

    @cached_property
    def networks(self) -> int:
        """The number of networks that all sites advertise."""
        return sum(map(len, self.sites.values()))

    def states(self, rows: list[Row]) -> dict[UUID, ProfileState]:
        """The states of these rows' delivered profiles."""
        devices = ProfileDigests(self.instance, self.sites)
        states = {row.pk: self._state(row, devices) for row in rows if row.is_plain}
        rest = [peer_of(row) for row in rows if not row.is_plain]
        return states | profile_states(self.instance, rest, self.sites)

    def _state(self, row: Row, devices: ProfileDigests) -> ProfileState:
        if not row.delivered_digest:
            return ProfileState.UNDELIVERED
        digest = devices.of(row.host, row.public_key, route_all=row.route_all)
        is_current = row.delivered_digest == digest and not has_moved(self.instance, row.delivered_host)
        return ProfileState.CURRENT if is_current else ProfileState.OUTDATED


def snapshot(rows: Rows) -> Snapshot:
    """The snapshot of these rows; makes no query."""
    instance, tags = rows.instance, tags_of(rows)
    sites = SiteSubnets(
        (row.pk, tuple(map(parse_network, row.subnets)))
        for row in rows.peers.values()
        if row.is_admitted and not row.is_device
    )
    if instance.management_sources:
        sites.managers = managers_among(
            instance, ((row.site, row.host, row.subnets) for row in rows.peers.values() if row.is_admitted)
        )
    ways = _ways(instance, sites)
    hub = Hub(
        addresses=tuple(hub_addresses(instance)),
        peers={str(pk): end_of(instance, row, tags) for pk, row in rows.peers.items() if row.is_admitted},
        rules=parse_rules(rows.rules, Faults()),
        allows=instance.firewall_policy == "allow",
        opened=tuple(route for route, way in ways.items() if way is Way.SERVER),
        server=instance.server.addresses if instance.server is not None else (),
    )
    nowhere = tuple(route for route, way in ways.items() if way is Way.NOWHERE)
    internet = tuple(route for route, way in ways.items() if way is Way.INTERNET)
    return Snapshot(instance, rows.peers, sites, hub, nowhere, internet, rows.records)


def _ways(instance: Instance, sites: SiteSubnets) -> dict[str, Way]:
    """The destination of each of the instance's pushed routes."""
    if not instance.pushed_routes:
        return {}
    tunnels = [instance.network_v4, instance.network_v6, *(network for some in sites.values() for network in some)]
    ways = Ways(tunnels, allowed_behind(instance))
    return {text: ways.of(ip_network(text)) for text in instance.pushed_routes}


def end_of(instance: Instance, row: Row, tags: Tags) -> End:
    """A peer's row as the firewall sees it."""
    own = instance.own_networks(row.host)
    found = tuple(tags.of_owner(row.site, row.member))
    return End((*own, *canonical_subnets(row.subnets)), found, own if ROUTERS in found else ())


def peer_of(row: Row) -> Peer:
    """A peer without a name, to compute its profile from; never to be saved."""
    values: dict[str, Any] = {name: value for name, value in row._asdict().items() if "__" not in name}
    del values["is_admitted"]
    values["member_id"] = values.pop("member")
    values["site_id"] = values.pop("site")
    values["exit_site_id"] = values.pop("exit_site")
    peer = Peer(**values)
    peer.member = None
    if row.site is not None:
        peer.site = Site(
            pk=row.site,
            platform=row.site__platform or "",
            platform_version=row.site__platform_version or "",
            alias=row.site__alias,
        )
    return peer
