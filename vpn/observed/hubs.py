"""Record observations of hubs and servers: one query for all hubs, and no write if nothing changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction

from vpn.models import FirewallRule, Instance, InstanceObservation, Server
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
    """Add the rule counters since the last observation. A lower counter means that the hub was restarted."""
    told = {pk: report.hits for pk, report in reports.items() if report.hits}
    rows: list[tuple[UUID, tuple[object, ...]]] = []
    for rule in FirewallRule.objects.filter(instance__in=told).only("instance", "hits", "counter_hits"):
        counted = told[rule.instance_id].get(str(rule.pk), rule.counter_hits)
        if counted != rule.counter_hits:
            since = counted - rule.counter_hits if counted > rule.counter_hits else counted
            rows.append((rule.instance_id, (rule.hits + since, counted, rule.pk, rule.counter_hits)))
    if not rows:
        return
    with transaction.atomic():
        # Actions change these rows under the instance's lock. Skip locked instances, so that one organization does not
        # delay others: their counters are added at the next observation.
        free = Instance.objects.select_for_update(skip_locked=True).filter(pk__in={pk for pk, _ in rows})
        mine = set(free.values_list("pk", flat=True))
        counted_now = [row for pk, row in rows if pk in mine]
        # Match the old counter too, so that two observers do not add the same packets twice.
        update_rows(FirewallRule, ["hits", "counter_hits"], ["id", "counter_hits"], counted_now)
