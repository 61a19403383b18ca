"""Updating many rows, each with values of its own."""

from __future__ import annotations

from django.db import connection, models


def update_rows(model: type[models.Model], columns: list[str], keys: list[str], rows: list[tuple[object, ...]]) -> None:
    """Update many rows of a table: the values of `columns`, then those of `keys`, which identify the row.

    One prepared statement for all: bulk_update's CASE expressions take a second for 5,000 peers, this a few hundredths.
    """
    if not rows:
        return
    meta = model._meta
    by_name = {field.name: field for field in meta.concrete_fields}
    fields = [by_name[column] for column in (*columns, *keys)]
    quote = connection.ops.quote_name
    equations = [f"{quote(field.attname)} = %s" for field in fields]
    assigned, found = ", ".join(equations[: len(columns)]), " AND ".join(equations[len(columns) :])
    statement = f"UPDATE {quote(meta.db_table)} SET {assigned} WHERE {found}"  # noqa: S608 - our columns
    prepared = [
        tuple(field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True))
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, prepared)
