"""The records of a zone at a DNS provider, through a driver of apache-libcloud."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock
from typing import Any, Final, Literal

from portal.running.dns_url import ProviderDns
from vpn import failures
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.provider_faults import faults_at

# The age up to which the list of all records serves further names: providers limit how often they are asked.
_LISTED_SECONDS: Final = 10.0
_MOST_SECONDS: Final = 5.0


@dataclass(frozen=True)
class _Manner:
    """How a driver differs from the others.

    `changes`: "value" if each value of a name and type is a record of its own, "set" if a new record replaces them all,
    "record" if the one there is has to be changed. With `has_full_names` names end with the zone and a dot.
    """

    changes: Literal["value", "set", "record"] = "value"
    has_full_names: bool = False
    quotes_text: bool = False
    lifetime: str = "ttl"
    options: dict[str, Any] = field(default_factory=dict)


_MANNERS: Final = {
    "linode": _Manner(lifetime="ttl_sec"),
    "powerdns": _Manner(changes="set", has_full_names=True, quotes_text=True, options={"api_version": "v1"}),
    "route53": _Manner(changes="record"),
}


@dataclass(frozen=True)
class Entry:
    """A record of the zone: its full name, its type, its value without quotes, and the driver's own object."""

    name: str
    kind: str
    value: str
    record: Any = field(repr=False)


_listed: dict[ProviderDns, tuple[float, Any, list[Entry]]] = {}
_lock = Lock()


class ProviderZone:
    """The zone of DNS_URL, for one look at a name. Every method raises NotPublished."""

    def __init__(self, options: ProviderDns, patience: Patience) -> None:
        self._options, self._patience = options, patience
        self._manner = _MANNERS.get(options.provider, _Manner())
        self._zone: Any = None
        self._opened: Any = None

    def entries(self, name: str, *, newest: bool = False) -> list[Entry]:
        """The records of a name. If they need not be the `newest`, they may be some seconds old."""
        with _lock:
            at, self._zone, found = _listed.get(self._options, (0.0, None, []))
        if newest or self._zone is None or time.monotonic() - at > _LISTED_SECONDS:
            at = time.monotonic()
            with faults_at(self._options):
                self._zone = self._zone or self._find_zone()
                found = [self._entry(record) for record in self._driver.list_records(self._zone)]
            with _lock:
                _listed[self._options] = at, self._zone, found
        return [one for one in found if one.name == name]

    def create(self, name: str, kind: str, value: str) -> None:
        """Add a record to a name that has none of this type."""
        with self._writing():
            self._driver.create_record(self._name(name), self._zone, kind, self._data(kind, value), self._extra)

    def replace(self, former: list[Entry], name: str, kind: str, value: str) -> None:
        """Put one record in the place of all that the name has of this type."""
        if [one.value for one in former] == [value]:
            return
        if former and self._manner.changes == "record":
            if len(former) > 1:
                # The driver cannot remove one value of several.
                raise NotPublished(failures.NAME_TAKEN.of(name))
            with self._writing():
                self._driver.update_record(former[0].record, self._name(name), kind, value, self._extra)
            return
        if self._manner.changes == "set" or all(one.value != value for one in former):
            self.create(name, kind, value)
        if self._manner.changes == "value":
            self.remove(one for one in former if one.value != value)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Remove records."""
        for one in entries:
            with self._writing():
                if not self._driver.delete_record(one.record):
                    raise NotPublished(failures.NAME_PROVIDER_REFUSED.of(self._options.provider), perhaps_written=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Around each change: what was listed before is not the zone any more."""
        with _lock:
            _listed.pop(self._options, None)
        with faults_at(self._options, writing=True):
            yield

    @property
    def _driver(self) -> Any:
        """The driver, whose library is loaded where a provider is set."""
        if self._opened is None:
            from libcloud.dns.providers import get_driver

            given, options = self._options, {"secure": self._options.secure, **self._manner.options}
            options["timeout"] = max(1.0, min(_MOST_SECONDS, self._patience.end - time.monotonic()))
            if given.host:
                options["host"] = f"[{given.host}]" if ":" in given.host else given.host
            if given.port:
                options["port"] = given.port
            opens: Any = get_driver(given.provider)
            self._opened = opens(*given.credentials, **options)
        return self._opened

    def _find_zone(self) -> Any:
        for zone in self._driver.list_zones():
            if zone.domain.strip(".").lower() == self._options.zone:
                return zone
        raise NotPublished(failures.NAME_ZONE_MISSING.of(self._options.zone))

    def _entry(self, record: Any) -> Entry:
        name = (record.name or "").rstrip(".").lower()
        zone = self._options.zone
        if name != zone and not name.endswith(f".{zone}"):
            name = f"{name}.{zone}" if name not in {"", "@"} else zone
        return Entry(name, str(record.type), _value(str(record.type), record.data), record)

    def _name(self, name: str) -> str:
        return f"{name}." if self._manner.has_full_names else name.removesuffix(f".{self._options.zone}")

    def _data(self, kind: str, value: str) -> str:
        return f'"{value}"' if kind == "TXT" and self._manner.quotes_text else value

    @property
    def _extra(self) -> dict[str, int]:
        return {self._manner.lifetime: self._options.lifetime}


def _value(kind: str, data: str) -> str:
    if kind in {"A", "AAAA"}:
        with suppress(ValueError):
            return str(ip_address(data))
    return data.strip('"')
