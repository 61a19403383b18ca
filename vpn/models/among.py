"""A lookup for foreign keys: `among`, the same as `in`, with one parameter for all ids.

Django compiles, adapts and sends each id of `in` on its own, which takes longer than such a query itself.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import models
from django.db.models.lookups import Lookup


@models.ForeignKey.register_lookup
class Among(Lookup):
    """The rows whose foreign key is one of these UUIDs."""

    lookup_name = "among"
    rhs: tuple[UUID, ...]

    def get_prep_lookup(self) -> tuple[UUID, ...]:
        """Return the ids."""
        return tuple(self.rhs)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Compare with an array."""
        column, params = self._column(compiler, connection)
        return f"{column} = ANY(%s::uuid[])", [*params, f"{{{','.join(map(str, self.rhs))}}}"]

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """Compare with the items of a JSON list, as ids are stored: hexadecimal."""
        column, params = self._column(compiler, connection)
        ids = ",".join(f'"{one.hex}"' for one in self.rhs)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, f"[{ids}]"]  # noqa: S608 - a column

    def _column(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        if not self.rhs:
            raise EmptyResultSet
        column, params = self.process_lhs(compiler, connection)
        return column, list(params)
