"""Names that a hub answers or forwards differently, and internet networks that devices send through it."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal, NamedTuple

from vpn.plan.delta import Record
from vpn.plan.snapshot import Snapshot


class NameChange(NamedTuple):
    """A name before and after a change.

    The values are those of a record ("10.1.0.5 (A)"), or the servers for all names of a domain; "" stands for all other
    names. They are empty if the hub does not answer the name, or has no servers for the domain.
    """

    kind: Literal["record", "domain"]
    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class Diverted(NamedTuple):
    """A network of the internet that devices with a split tunnel send through the hub from now on, or no longer."""

    network: str
    begins: bool


def names_changed(before: Snapshot, after: Snapshot) -> list[NameChange]:
    """The names that are answered differently, then the domains that are forwarded to other servers."""
    values = _values_of(before.records), _values_of(after.records)
    records = [
        NameChange("record", name, tuple(values[0].get(name, ())), tuple(values[1].get(name, ())))
        for name in sorted(values[0].keys() | values[1].keys())
    ]
    servers = _servers_of(before), _servers_of(after)
    domains = [
        NameChange("domain", name, servers[0].get(name, ()), servers[1].get(name, ()))
        for name in sorted(servers[0].keys() | servers[1].keys())
    ]
    return [one for one in (*records, *domains) if one.before != one.after]


def diverted(before: Snapshot, after: Snapshot) -> list[Diverted]:
    """The pushed routes to the internet that exist on only one side."""
    return [
        *(Diverted(route, begins=True) for route in after.internet if route not in before.internet),
        *(Diverted(route, begins=False) for route in before.internet if route not in after.internet),
    ]


def _values_of(records: frozenset[Record]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = defaultdict(list)
    for name, kind, value in sorted(records):
        values[name].append(f"{value} ({kind})")
    return values


def _servers_of(side: Snapshot) -> dict[str, tuple[str, ...]]:
    of_domains = dict.fromkeys(side.instance.domains, tuple(side.instance.split_dns))
    return {"": tuple(side.instance.public_dns), **of_domains}
