"""How much of its quotas for vpn objects an organization uses (portal.quotas)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.db.models import F, Func, IntegerField, Sum

from portal.models import Quota
from vpn.addressing.networks import is_broad
from vpn.choices import OperationKind, OperationState, PeerType
from vpn.models import DnsRecord, FirewallRule, Instance, Operation, Peer, Site
from vpn.validators import parse_network


class _Length(Func):
    """SQL function: the number of items in a JSON list."""

    function = "jsonb_array_length"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Use SQLite's name of the function."""
        return super().as_sql(compiler, connection, function="json_array_length", **context)


def broad_routes(subnets: list[str]) -> int:
    """The number of a peer's broad routes, which only lead through its site and are not among its subnets."""
    return sum(is_broad(parse_network(text)) for text in subnets)


def _instances(organization_id: UUID) -> int:
    # An instance that is being deleted counts until its hub is gone.
    return Instance.objects.filter(organization=organization_id).count()


def _provisioning(organization_id: UUID) -> int:
    running = Operation.objects.filter(kind=OperationKind.PROVISION, state=OperationState.RUNNING)
    return running.filter(instance__organization=organization_id).count()


def _peers(organization_id: UUID) -> int:
    return Peer.objects.filter(instance__organization=organization_id).count()


def _sites(organization_id: UUID) -> int:
    return Site.objects.filter(organization=organization_id).count()


def _subnets(organization_id: UUID) -> int:
    """The subnets of sites, each counted once for all connected instances, and the broad routes of their peers."""
    sites = Site.objects.filter(organization=organization_id)
    total: int = sites.aggregate(total=Sum(_Length(F("subnets")), default=0))["total"]
    peers = Peer.objects.filter(instance__organization=organization_id, type=PeerType.SITE, confirm_broad_routes=True)
    return total + sum(broad_routes(subnets) for subnets in peers.order_by().values_list("subnets", flat=True))


def _rules(organization_id: UUID) -> int:
    return FirewallRule.objects.filter(instance__organization=organization_id).count()


def _dns_records(organization_id: UUID) -> int:
    return DnsRecord.objects.filter(instance__organization=organization_id).count()


COUNTERS: Final[dict[Quota, Callable[[UUID], int]]] = {
    Quota.INSTANCES: _instances,
    Quota.PROVISIONING: _provisioning,
    Quota.PEERS: _peers,
    Quota.SITES: _sites,
    Quota.SUBNETS: _subnets,
    Quota.RULES: _rules,
    Quota.DNS_RECORDS: _dns_records,
}
