"""Pages of long lists: only the first rows are listed, because a database reads all rows before a deep page."""

from __future__ import annotations

from typing import Any, Final

from django.core.paginator import Paginator
from django.utils.functional import cached_property

MOST: Final = 10_000


class CappedPaginator(Paginator[Any]):
    """Lists no more rows than MOST, and counts no further. `is_capped` says that there are more."""

    @cached_property
    def _found(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST + 1].count())

    @property
    def is_capped(self) -> bool:
        """Are there more rows than are listed?"""
        return self._found > MOST

    @cached_property
    def count(self) -> int:
        """The number of rows that are listed."""
        return min(self._found, MOST)
