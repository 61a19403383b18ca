"""The base of forms that edit a table in place: firewall rules, DNS records.

An action checks all rows and reports every fault; the form shows each one beside its field. The page adds, removes and
moves rows in the browser (static/js/table.js); without JavaScript the same buttons ask the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from django import forms

from vpn.forms.edit_guard import SEEN, GuardedForm
from vpn.models import Instance

_MOVE: Final = re.compile(r"([0-9]{1,6})-(up|down)", re.ASCII)
_BUTTONS: Final = {"move", "remove", "add"}


class Fault(Protocol):
    """A fault that an action reports for a row's field; rows are numbered from 1."""

    @property
    def number(self) -> int: ...

    @property
    def field(self) -> str: ...

    @property
    def message(self) -> str: ...


class RowForm(forms.Form):
    """One row of the table. Its field `name` gets the focus."""

    table: ClassVar[str]  # the prefix of all fields, such as `firewall`
    heads: ClassVar[str]  # the prefix of the ids of the columns' heads, such as `rules`
    labels: ClassVar[Mapping[str, str]] = {}  # the column heads that differ from the fields' names

    def __init__(self, values: Mapping[str, str], index: int | str) -> None:
        prefix = f"{self.table}-{index}"
        super().__init__({f"{prefix}-{name}": value for name, value in values.items()}, prefix=prefix)
        for field in self.visible_fields():
            # The accessible name of a field is its column's head and its row's number.
            field.field.widget.attrs["aria-labelledby"] = f"{self.heads}-{field.name} {prefix}-number"
        self.values, self.index = values, index

    @property
    def columns(self) -> list[tuple[str, forms.BoundField]]:
        """The visible fields by column head."""
        return [(self.labels.get(field.name, field.name.capitalize()), field) for field in self.visible_fields()]


class TableForm(GuardedForm):
    """Edits a whole table: `rows` has a form for each row, `saved` the stored rows."""

    row: ClassVar[type[RowForm]]
    new_row_values: ClassVar[Mapping[str, str]]
    ends_with_empty_row: ClassVar[bool] = False

    def __init__(self, data: Mapping[str, str] | None, *, instance: Instance, initial: Mapping[str, Any]) -> None:
        super().__init__(data, instance=instance, initial=initial)
        given = None if data is None else self._posted(data)
        self.given = self.saved_values() if given is None else given
        self._show(self.given)

    def saved_values(self) -> Sequence[Mapping[str, str]]:
        """The stored rows."""
        raise NotImplementedError

    def make_row(self, values: Mapping[str, str], index: int | str) -> RowForm:
        """The form of one row."""
        return self.row(values, index)

    def is_empty(self, values: Mapping[str, str]) -> bool:
        """Is the row unchanged since it was added? Then it is not saved."""
        names = [name for name, field in self.row.base_fields.items() if not field.widget.is_hidden]
        return all(values.get(name, "").strip() == self.new_row_values.get(name, "") for name in names)

    @property
    def new_row(self) -> RowForm:
        """A template for new rows; the page fills in the number."""
        return self.make_row(self.new_row_values, "__new__")

    @property
    def has_faults(self) -> bool:
        """Was a row refused?"""
        return any(row.errors for row in self.rows)

    def is_valid(self) -> bool:
        """Could every field be parsed? The action finds the faults of rows."""
        return bool(super().is_valid() and all(row.is_valid() for row in self.rows))

    def rearrange(self) -> bool:
        """Move, remove or add a row, as the pressed button says. All typed values stay."""
        if not _BUTTONS & set(self.data):
            return False
        rows = list(self.given)
        focus: int | None = None
        if found := _MOVE.fullmatch(self.data.get("move", "")):
            focus = _moved(rows, int(found[1]), -1 if found[2] == "up" else 1)
        elif (number := self.data.get("remove", "")).isdecimal() and int(number) < len(rows):
            focus = int(number)
            del rows[focus]
        elif "add" in self.data:
            focus = len(rows)
            rows.append(self.new_row_values)
        self._show(rows)
        if focus is not None and self.rows:
            self.rows[min(focus, len(self.rows) - 1)].fields["name"].widget.attrs["autofocus"] = True
        return True

    def show_faults(self, faults: Sequence[Fault]) -> None:
        """Put each fault beside its row's field."""
        rows = self.filled()
        for fault in faults:
            rows[fault.number - 1].add_error(fault.field, fault.message)

    def filled(self) -> list[RowForm]:
        """The rows that are not empty, in the action's numbering."""
        return [row for row in self.rows if not self.is_empty(row.values)]

    def _show(self, values: Sequence[Mapping[str, str]]) -> None:
        rows = list(values)
        if self.ends_with_empty_row and (not rows or not self.is_empty(rows[-1])):
            rows.append(self.new_row_values)
        self.rows = [self.make_row(row, number) for number, row in enumerate(rows)]

    def _posted(self, data: Mapping[str, str]) -> list[dict[str, str]] | None:
        """The sent rows in the order of their numbers; None if no table was sent.

        The page's own form may send a table without rows.
        """
        table, names = self.row.table, list(self.row.base_fields)
        key_of_row = re.compile(rf"{table}-([0-9]{{1,6}})-(?:{'|'.join(names)})", re.ASCII)
        numbers = sorted({int(found[1]) for key in data if (found := key_of_row.fullmatch(key))})
        if not numbers and not {SEEN, f"{table}-TOTAL_FORMS"} & set(data):
            return None
        return [
            {
                **self.new_row_values,
                **{name: data[key] for name in names if (key := f"{table}-{number}-{name}") in data},
            }
            for number in numbers
        ]


def _moved(rows: list[Any], position: int, step: int) -> int | None:
    """Move a row; returns its new position, None if the row does not exist."""
    if position >= len(rows):
        return None
    target = min(max(position + step, 0), len(rows) - 1)
    rows.insert(target, rows.pop(position))
    return target
