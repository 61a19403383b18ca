"""Checks DNS records for a hub, and reports every fault of every row at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from vpn.choices import RecordType
from vpn.constants import LONGEST_CNAME_CHAIN
from vpn.dns_names import is_below, parse_dns_name, parse_record_address, refuse_special_use

FIELD = "dns_custom"
COLUMNS = ("name", "type", "value")
# A fault quotes at most this many characters of a name.
_SHOWN = 50


@dataclass(frozen=True)
class RecordFault:
    """A fault in one field of a record; records are numbered from 1 and named as they were entered."""

    number: int
    name: str
    field: str
    message: str

    def __str__(self) -> str:
        values = {"number": self.number, "name": self.name, "field": self.field, "message": self.message}
        if self.name:
            return _("Record %(number)s “%(name)s”, %(field)s: %(message)s") % values
        return _("Record %(number)s, %(field)s: %(message)s") % values


@dataclass(frozen=True)
class Surroundings:
    """The names that records must not collide with.

    The hub's own name, the domain of all hubs, the domains with servers of their own, and the full names of the hub's
    peers.
    """

    hub: str
    vpn_domain: str
    domains: tuple[str, ...]
    peers: frozenset[str]


@dataclass(frozen=True)
class Row:
    """A record as it is stored; a field at fault is empty."""

    name: str
    type: str
    value: str


class RecordCheck:
    """The cleaned records of one hub (`rows`), and their faults (`faults`)."""

    def __init__(self, records: Sequence[Mapping[str, str]], around: Surroundings) -> None:
        self.around = around
        self.records = records
        self.faults: list[RecordFault] = []
        self.rows = [self._row(number, record) for number, record in enumerate(records)]
        # Every name that was entered, even where its rows have faults.
        self.by_name: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.name and row.type:
                self.by_name[row.name].append(row)
        self._check_doubles()
        self._check_aliases()
        self.faults.sort(key=lambda fault: fault.number)

    def _fault(self, number: int, field: str, message: str) -> None:
        called = self.records[number]["name"].strip()
        shown = called[:_SHOWN] if called.isprintable() else ""
        self.faults.append(RecordFault(number + 1, shown, field, message))

    def _row(self, number: int, record: Mapping[str, str]) -> Row:
        kind = record["type"].strip()
        if kind not in RecordType.values:
            self._fault(
                number, "type", _("Choose one of %(recordtype)s.") % {"recordtype": ", ".join(RecordType.values)}
            )
            kind = ""
        return Row(self._name(number, record["name"]), kind, self._value(number, kind, record["value"]))

    def _name(self, number: int, text: str) -> str:
        try:
            name = full_name(text, self.around.hub)
            refuse_special_use(name)
        except ValidationError as fault:
            self._fault(number, "name", fault.messages[0])
            return ""
        if reason := self._not_ours(name):
            self._fault(number, "name", reason)
        return name

    def _not_ours(self, name: str) -> str:
        """Why the admin cannot use this name; empty if they can."""
        around = self.around
        if name == around.hub:
            return _("%(name)s is the hub's own name: it always answers the hub's public address.") % {"name": name}
        if name in around.peers:
            return _("%(name)s is the own name of a peer of this hub. Choose another one.") % {"name": name}
        if is_below(name, around.vpn_domain) and not is_below(name, around.hub):
            return _("%(name)s belongs to another hub. Choose a name below %(hub)s, or outside %(vpn_domain)s.") % {
                "name": name,
                "hub": around.hub,
                "vpn_domain": around.vpn_domain,
            }
        for domain in around.domains:
            if is_below(name, domain):
                return _(
                    "%(name)s is in %(domain)s, which has its own servers. Add the record there, or remove the "
                    "domain from the list."
                ) % {"name": name, "domain": domain}
        return ""

    def _value(self, number: int, kind: str, text: str) -> str:
        try:
            if kind == RecordType.CNAME:
                return self._target(text)
            return parse_record_address(text, 6 if kind == RecordType.AAAA else 4) if kind else ""
        except ValidationError as fault:
            self._fault(number, "value", fault.messages[0])
            return ""

    def _target(self, text: str) -> str:
        """The full name of a CNAME's target. It may be entered relative to the hub, such as laptop.anna."""
        name = full_name(text, self.around.hub)
        below = f"{name}.{self.around.hub}"
        return below if below in self.around.peers and name not in self.around.peers else name

    def _check_doubles(self) -> None:
        first: dict[Row, int] = {}
        for number, row in enumerate(self.rows):
            if not all((row.name, row.type, row.value)):
                continue
            if first.setdefault(row, number) != number:
                self._fault(
                    number,
                    "name",
                    _("Row %(first)s is the same record. Remove one of them.") % {"first": first[row] + 1},
                )
            elif row.type == RecordType.CNAME and any(other != row for other in self.by_name[row.name]):
                self._fault(
                    number,
                    "name",
                    _("%(row)s has another record. A CNAME is the only one of its name (RFC 1034).")
                    % {"row": row.name},
                )

    def _check_aliases(self) -> None:
        for number, row in enumerate(self.rows):
            if row.type == RecordType.CNAME and row.name and row.value:
                fault = self._chain_fault(row)
                if fault:
                    self._fault(number, "value", fault)

    def _chain_fault(self, row: Row) -> str:
        """Why an alias would resolve to nothing; empty if it leads to an address."""
        chain = [row.name]
        target = row.value
        while True:
            if target in chain:
                return _("This leads back to itself: %(value)s.") % {"value": " → ".join([*chain, target])}
            chain.append(target)
            if len(chain) > LONGEST_CNAME_CHAIN + 1:
                return _(
                    "At most %(longest_cname_chain)s aliases may follow one another. Point it closer to the address."
                ) % {"longest_cname_chain": LONGEST_CNAME_CHAIN}
            aliases = [other for other in self.by_name.get(target, ()) if other.type == RecordType.CNAME]
            if not aliases:
                return "" if self._is_answered(target) else self._dead_end(target)
            if not aliases[0].value:
                return ""  # The target's own row reports that fault.
            target = aliases[0].value

    def _is_answered(self, name: str) -> bool:
        # dnsmasq answers a CNAME only if it also has the target's record.
        return name == self.around.hub or name in self.around.peers or name in self.by_name

    def _dead_end(self, name: str) -> str:
        return _(
            "The hub has no record of %(name)s, so the alias would resolve to nothing. Point it to another record "
            "here, to the name of a device or site, or to %(hub)s."
        ) % {"name": name, "hub": self.around.hub}


def full_name(text: str, hub: str) -> str:
    """The full form of a name: a single label is taken below the hub's name. Raises ValidationError."""
    name = parse_dns_name(text)
    return name if "." in name or text.strip().endswith(".") else parse_dns_name(f"{name}.{hub}")
