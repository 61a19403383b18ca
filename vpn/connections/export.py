"""The connection journal as files: CSV for spreadsheets, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from portal.audit.export import csv_row, harmless
from vpn.connections.reading import documents_of
from vpn.models import Connection

_PLAIN: Final = (
    "id", "began_at", "ended_at", "reason", "protocol", "listener", "endpoint", "last_endpoint", "endpoint_changes",
    "received_bytes", "sent_bytes",
)  # fmt: skip
_COLUMNS: Final = (*_PLAIN, "peer", "user", "site_id", "instance", "address_v4", "address_v6", "subnets", "peer_id")


def as_json_lines(pages: Iterable[Sequence[Connection]]) -> Iterator[str]:
    """Yield one JSON object a line."""
    for rows in pages:
        for told in documents_of(rows):
            yield json.dumps(told, ensure_ascii=False) + "\n"


def as_csv(pages: Iterable[Sequence[Connection]]) -> Iterator[str]:
    """Yield a head and one row a connection (RFC 4180). No cell begins as a formula does."""
    yield csv_row(_COLUMNS)
    for rows in pages:
        for told in documents_of(rows):
            cells = {
                **{name: told[name] for name in (*_PLAIN, "site_id")},
                "peer": told["peer"]["name"],
                "peer_id": told["peer"]["id"],
                "user": told["user"]["email"] if told["user"] else "",
                "instance": told["instance"]["name"],
                "address_v4": told["addresses"][0],
                "address_v6": told["addresses"][1],
                "subnets": " ".join(told["subnets"]),
            }
            yield csv_row([harmless("" if cells[name] is None else cells[name]) for name in _COLUMNS])
