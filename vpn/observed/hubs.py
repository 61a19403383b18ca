"""Record observations of hubs and servers: one query for all hubs, and no write if nothing changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from vpn.models import FirewallRule, InstanceObservation, RuleObservation, Server
from vpn.models.row_updates import update_rows
from vpn.wire.report import HubReport


def note_upstreams(hubs: Iterable[InstanceObservation], reports: Mapping[UUID, HubReport]) -> None:
    """Record which upstream resolvers of hubs do not answer."""
    for hub in hubs:
        answers = reports[hub.pk].upstreams
        silent = sorted(server for server, answered in (answers or {}).items() if not answered)
        if answers is not None and silent != hub.silent_resolvers:
            InstanceObservation.objects.filter(pk=hub.pk).update(silent_resolvers=silent)


def note_families(reports: Mapping[UUID, HubReport]) -> None:
    """Record for which address families the servers have a default route."""
    told = {pk: report.families for pk, report in reports.items() if report.families is not None}
    known = Server.objects.filter(instances__in=told).values_list("instances", "pk", "carries_ipv4", "carries_ipv6")
    differing = {
        server: {"carries_ipv4": "ipv4" in told[instance], "carries_ipv6": "ipv6" in told[instance]}
        for instance, server, *carries in known
        if carries != ["ipv4" in told[instance], "ipv6" in told[instance]]
    }
    for server, found in differing.items():
        Server.objects.filter(pk=server).update(**found)


def note_hits(reports: Mapping[UUID, HubReport]) -> None:
    """Add the rule counters since the last observation. A lower counter means that the hub was restarted.

    Runs in the transaction that has locked the observations of these instances, so that no two add the same packets.
    """
    told = {pk: report.hits for pk, report in reports.items() if report.hits}
    columns = ("instance", "pk", "observation__hits", "observation__counter_hits")
    new: list[RuleObservation] = []
    rows: list[tuple[object, ...]] = []
    rules = FirewallRule.objects.filter(instance__in=told).order_by()
    for instance_id, pk, hits, counter in rules.values_list(*columns):
        counted = told[instance_id].get(str(pk), counter or 0)
        if hits is None and counted:
            new.append(RuleObservation(rule_id=pk, hits=counted, counter_hits=counted))
        elif hits is not None and counted != counter:
            since = counted - counter if counted > counter else counted
            rows.append((hits + since, counted, pk, counter))
    RuleObservation.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    # Match the old counter too: a worker of an older version takes no lock.
    update_rows(RuleObservation, ["hits", "counter_hits"], ["rule", "counter_hits"], rows)
