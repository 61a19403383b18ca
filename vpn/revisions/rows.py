"""Who would reach whom with the rules, routes and records of a revision, and with the peers and groups of today."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID, uuid5

from django.utils.translation import gettext as _

from vpn.desired.firewall import document_of_rule
from vpn.models import Instance
from vpn.plan.delta import Delta, Rules
from vpn.plan.explaining import Plan, explain
from vpn.plan.rows import Row, Rows, read_rows
from vpn.plan.snapshot import snapshot
from vpn.revisions.sections import LISTS, Document
from vpn.router_services import management_rules

# Not the name and the pool: a pool is only ever widened, and every address stays.
_COMPARED: Final = ("mtu", "pushed_routes", "public_dns", "split_dns", "domains", "firewall_policy")
_RULES: Final = UUID("5b0c9a52-3c47-4b3a-9e44-2f6f5e0d7c11")


def difference(instance_id: UUID, before: Document, after: Document, most_steps: int) -> Plan:
    """What differs between two revisions in who reaches whom, and in names.

    The peers and the members of groups are those of today. Sites that are not connected any more are left out on both
    sides. Raises ConcurrentChange, or Instance.DoesNotExist.
    """
    rules = _rules_of(before), _rules_of(after)
    rows = read_rows(instance_id, [Delta(rules=rules)])
    former, later = (snapshot(_side(rows, one, own)) for one, own in zip((before, after), rules, strict=True))
    return explain(former, later, most_steps, with_profiles=False)


def lost_sites(instance: Instance, documents: Iterable[Document]) -> list[str]:
    """The names of sites in these revisions that are not connected to the instance now."""
    names = {pk: one.names.get(f"site:{pk}", "") for one in documents for pk in one.sites}
    there = {str(pk) for pk in instance.peers.filter(site__in=list(names)).order_by().values_list("site_id", flat=True)}
    return sorted(name or _("a former site") for pk, name in names.items() if pk not in there)


def _rules_of(document: Document) -> Rules:
    """The rules of a spec, after those for managing routers. Equal rules have equal ids on both sides."""
    seen: Counter[tuple[str, ...]] = Counter()
    rules = management_rules(*(document.settings.get(name, ()) for name in LISTS))
    for values in document.rules:
        rules.append(document_of_rule(uuid5(_RULES, f"{tuple(values)} {seen[values]}"), values))
        seen[values] += 1
    return rules


def _side(rows: Rows, document: Document, rules: Rules) -> Rows:
    instance = copy.copy(rows.instance)
    for name in _COMPARED:
        setattr(instance, name, document.settings[name])
    peers = {row.pk: row for row in _peers(rows, document)}
    return Rows(instance, peers, rules, rows.groups, frozenset(document.records))


def _peers(rows: Rows, document: Document) -> Iterator[Row]:
    for row in rows.peers.values():
        if row.site is None:
            yield row
        elif str(row.site) in document.sites:
            yield row._replace(subnets=list(document.sites[str(row.site)]))
