"""The sites that one member's devices reach on an instance, by its present rules."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.db.models import Q

from vpn.choices import PeerType
from vpn.desired.firewall import Tags, rules_of
from vpn.desired.header import hub_addresses
from vpn.models import Instance
from vpn.plan.rows import COLUMNS, Row
from vpn.plan.snapshot import end_of
from vpn.reach.hub import Hub
from vpn.reach.listing import Line
from vpn.reach.reachability import lines_of
from vpn.wire.parsing import Faults
from vpn.wire.rules import parse_rules


def reached_sites(instance: Instance, member: UUID) -> list[Line]:
    """The lines from the member to sites, as in a plan that starts with everything closed.

    Only this member's devices and the sites are read, so the time does not grow with the number of peers.
    """
    documents = rules_of(instance)
    tags = Tags(documents)
    found = instance.peers.admitted().filter(Q(member=member) | Q(type=PeerType.SITE)).order_by()
    rows = [Row(*values) for values in found.values_list(*COLUMNS)]
    hub = Hub(
        addresses=tuple(hub_addresses(instance)),
        peers={str(row.pk): end_of(instance, row, tags) for row in rows},
        rules=parse_rules(documents, Faults()),
        allows=instance.firewall_policy == "allow",
    )
    sites = {f"site:{row.site}" for row in rows if not row.is_device}
    principals = {str(row.pk): f"user:{row.member}" if row.is_device else f"site:{row.site}" for row in rows}
    lines = lines_of(f"user:{member}", replace(hub, rules=(), allows=False), hub, principals)
    # A site that is reached in part appears as the network of that part.
    return [
        line
        for line in lines
        if line.source == f"user:{member}" and line.after and (line.destination in sites or "/" in line.destination)
    ]
