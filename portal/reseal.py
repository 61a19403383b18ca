"""Seals all secrets in the database again under the newest key, while the portal runs.

Each value is replaced only if it is still the one that was read, so no concurrent write is lost. Each statement is a
transaction of its own and locks one row. With several rows, two transactions could wait for each other's rows in
PostgreSQL. The command may be killed at any line: the next run continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps
from django.db.models import Model, Q, QuerySet

from portal.sealing import Sealed, UnsealError, newest_prefix, seal, unseal

# Rows per read.
_BATCH: Final = 50


@dataclass
class Outcome:
    """The result of one run: the number of values sealed again, and the locations of those that no key opens."""

    resealed: int = 0
    closed: set[str] = field(default_factory=set)


def sealed_columns() -> Iterator[tuple[type[Model], list[str]]]:
    """Every model with secrets, and their columns."""
    for model in apps.get_models():
        columns = [each.column for each in vars(model).values() if isinstance(each, Sealed)]
        if columns:
            yield model, columns


def reseal_all() -> Outcome:
    """Seal again until only values that no key opens are left under an older key."""
    outcome = Outcome()
    while sum(_reseal_table(model, columns, outcome) for model, columns in sealed_columns()):
        pass
    return outcome


def count_stale() -> int:
    """The number of rows with a value under an older key."""
    return sum(_stale(model, columns).count() for model, columns in sealed_columns())


def _reseal_table(model: type[Model], columns: list[str], outcome: Outcome) -> int:
    """Process one table; return how many values were sealed again."""
    before, last = outcome.resealed, None
    while True:
        rows = _stale(model, columns).order_by("pk")
        if last is not None:
            rows = rows.filter(pk__gt=last)
        found = list(rows.values("pk", *columns)[:_BATCH])
        if not found:
            return outcome.resealed - before
        for row in found:
            _reseal_row(model, columns, row, outcome)
        last = found[-1]["pk"]


def _reseal_row(model: type[Model], columns: list[str], row: dict[str, Any], outcome: Outcome) -> None:
    prefix = newest_prefix()
    for column in columns:
        sealed = row[column]
        if not sealed or sealed.startswith(prefix):
            continue
        place = {"table": model._meta.db_table, "row": str(row["pk"]), "field": column}
        try:
            anew = seal(unseal(sealed, **place), **place)
        except UnsealError:
            outcome.closed.add(f"{model._meta.db_table}.{column}")
            continue
        # Only replace the value that was read: a newer write wins.
        outcome.resealed += QuerySet(model).filter(pk=row["pk"], **{column: sealed}).update(**{column: anew})


def _stale(model: type[Model], columns: list[str]) -> QuerySet[Any]:
    stale, prefix = Q(), newest_prefix()
    for column in columns:
        stale |= ~Q(**{column: ""}) & ~Q(**{f"{column}__startswith": prefix})
    return QuerySet(model).filter(stale)
