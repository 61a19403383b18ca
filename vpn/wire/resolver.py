"""The validated resolver settings of a spec: its records and its upstream servers."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from vpn.wire import parsing
from vpn.wire.documents import RecordDocument, ResolverDocument
from vpn.wire.parsing import Faults

A, AAAA, CNAME = "A", "AAAA", "CNAME"
MOST_DOMAINS: Final = 500
MOST_RECORDS: Final = 5000

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# A name in lower case without the final dot, with one label or more (RFC 1035, with the underscores of RFC 2782).
NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_FIELDS: Final = frozenset({"domain", "public_addresses", "upstreams", "domains", "domain_servers", "records"})


@dataclass(frozen=True)
class Record:
    """A DNS record of the instance: `value` is an address, or a name for a CNAME."""

    name: str
    type: str
    value: str

    def document(self) -> RecordDocument:
        """Return the record as JSON data."""
        return {"name": self.name, "type": self.type, "value": self.value}


@dataclass(frozen=True)
class Resolver:
    """A resolver on the hub's tunnel addresses.

    `domain` is the hub's own name: it resolves to `public_addresses`, and peers' names are below it. Queries for
    `domains` are forwarded to `domain_servers`, all others to `upstreams`.
    """

    domain: str
    public_addresses: tuple[str, ...]
    upstreams: tuple[str, ...]
    domains: tuple[str, ...]
    domain_servers: tuple[str, ...]
    records: tuple[Record, ...]

    def document(self) -> ResolverDocument:
        """Return it as JSON data."""
        return {
            "domain": self.domain,
            "public_addresses": list(self.public_addresses),
            "upstreams": list(self.upstreams),
            "domains": list(self.domains),
            "domain_servers": list(self.domain_servers),
            "records": [record.document() for record in self.records],
        }


def parse_resolver(value: object, faults: Faults) -> Resolver | None:
    """Return the resolver that `value` (JSON data) describes, None for null; adds to `faults`."""
    if value is None:
        return None
    data = parsing.fields_of(value, "resolver", _FIELDS, faults)
    return Resolver(
        domain=parsing.text(data.get("domain"), "resolver.domain", NAME, faults),
        public_addresses=parsing.hosts(data.get("public_addresses"), "resolver.public_addresses", faults),
        upstreams=parsing.hosts(data.get("upstreams"), "resolver.upstreams", faults),
        domains=parsing.texts(data.get("domains"), "resolver.domains", NAME, MOST_DOMAINS, faults),
        domain_servers=parsing.hosts(data.get("domain_servers"), "resolver.domain_servers", faults),
        records=_records(data.get("records"), faults),
    )


def _records(value: object, faults: Faults) -> tuple[Record, ...]:
    if not isinstance(value, list) or len(value) > MOST_RECORDS:
        faults.append(f"resolver.records is not a list of at most {MOST_RECORDS} records")
        return ()
    return tuple(_record(number, item, faults) for number, item in enumerate(value, 1))


def _record(number: int, document: object, faults: Faults) -> Record:
    where = f"record {number}"
    data = parsing.fields_of(document, where, frozenset({"name", "type", "value"}), faults)
    record = Record(
        name=parsing.text(data.get("name"), f"{where} name", NAME, faults),
        type=parsing.choice(data.get("type"), f"{where} type", (A, AAAA, CNAME), faults),
        value=str(data.get("value")),
    )
    if not _fits(record):
        faults.append(f"{where} has a value that does not fit its type")
    return record


def _fits(record: Record) -> bool:
    if record.type == CNAME:
        return NAME.fullmatch(record.value) is not None
    try:
        address = ipaddress.ip_address(record.value)
    except ValueError:
        return False
    return (
        str(address) == record.value and "%" not in record.value and address.version == (4 if record.type == A else 6)
    )
