"""The journal as files: CSV for spreadsheets, JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from portal.audit.reading import document_of, shown_actor
from portal.models import JournalEntry

_COLUMNS: Final = (
    "at", "actor_kind", "actor", "address", "user_agent", "code", "message", "object_kind", "object_id",
    "object_name", "changes", "details", "operation", "cause", "id",
)  # fmt: skip
# A spreadsheet takes text that begins so for a formula (OWASP, "CSV Injection").
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def as_json_lines(lines: Iterable[JournalEntry]) -> Iterator[str]:
    """Yield one JSON object a line."""
    for line in lines:
        yield json.dumps(document_of(line), ensure_ascii=False) + "\n"


def as_csv(lines: Iterable[JournalEntry]) -> Iterator[str]:
    """Yield a head and one row a line (RFC 4180). No cell begins as a formula does."""
    yield csv_row(_COLUMNS)
    for line in lines:
        told = document_of(line)
        cells: dict[str, Any] = {
            **told,
            "actor_kind": line.actor_kind,
            "actor": str(shown_actor(line)),
            "object_kind": line.object_kind,
            "object_id": line.object_id,
            "object_name": line.object_name,
            "changes": json.dumps(line.changes, ensure_ascii=False) if line.changes else "",
            "details": json.dumps(told["details"], ensure_ascii=False) if line.details else "",
        }
        yield csv_row([harmless(cells[name] or "") for name in _COLUMNS])


def harmless(text: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    cell = str(text)
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def csv_row(cells: Iterable[object]) -> str:
    """One row of a CSV file."""
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
