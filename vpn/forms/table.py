"""The base of forms that edit a table in place: firewall rules, DNS records.

An action checks all rows and reports every fault; the form shows each one beside its field. The page adds, removes and
moves rows in the browser (static/js/table.js); without JavaScript the same buttons ask the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import count
from typing import Any, ClassVar, Final, Protocol

from django import forms
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from portal.web.filled import Render, filled_rows
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
    kind: ClassVar[str]  # what the classes of the cells begin with, such as `rule`
    template: ClassVar[str]  # that of rows
    labels: ClassVar[Mapping[str, str | Promise]] = {}  # the columns' heads, by the fields' names
    note = ""  # what is wrong with a stored row

    def __init__(self, values: Mapping[str, str], index: int | str) -> None:
        prefix = f"{self.table}-{index}"
        super().__init__({f"{prefix}-{name}": value for name, value in values.items()}, prefix=prefix)
        for field in self.visible_fields():
            # The accessible name of a field is its column's head and its row's number.
            field.field.widget.attrs["aria-labelledby"] = f"{self.heads}-{field.name} {prefix}-number"
        self.values, self.index = values, index

    @classmethod
    def column_head(cls, name: str) -> str:
        """The column's head of a field."""
        return str(cls.labels.get(name, name.capitalize()))

    @classmethod
    @cache
    def choices(cls) -> list[str]:
        """The fields with a few values each."""
        return [name for name, field in cls.base_fields.items() if isinstance(field.widget, forms.Select)]

    @property
    def number(self) -> int:
        """The row's number on the page; 0 in the template of new rows, where the page puts the number."""
        return self.index + 1 if isinstance(self.index, int) else 0

    @property
    def cells(self) -> SafeString:
        """The cells of the visible fields, with the faults of each."""
        return SafeString("".join(self._cell(field) for field in self.visible_fields()))

    @property
    def hidden(self) -> SafeString:
        """The hidden fields."""
        return SafeString("".join(str(field) for field in self.hidden_fields()))

    def _cell(self, field: forms.BoundField) -> str:
        if not field.errors:
            return cell(type(self), field.name, str(field), self.note)
        faults = render_to_string("partials/field_errors.html", {"field": field})
        return cell(type(self), field.name, f"{field}{faults}")


def cell(row: type[RowForm], name: str, content: str, note: str = "") -> str:
    """A field's cell in a row; `content` is HTML. The note is beside the row's last field."""
    if note and name == list(row.base_fields)[-1]:
        content += f'<p class="field__error"><span>{escape(note)}</span></p>'
    return f'<td data-label="{row.column_head(name)}" class="control {row.kind}__{name}"><div>{content}</div></td>'


@dataclass(frozen=True)
class StoredRow:
    """A stored row as it is shown: its values are valid, so it needs no form, which takes ten times as long.

    It has the same HTML as the form of the row: the same widgets, names and attributes.
    """

    form: type[RowForm]
    values: Mapping[str, str]
    index: str
    number: str
    note: str
    hits: str

    @property
    def cells(self) -> SafeString:
        """The cells of the visible fields."""
        shown = [name for name, field in self.form.base_fields.items() if not field.widget.is_hidden]
        return SafeString("".join(cell(self.form, name, self._input(name), self.note) for name in shown))

    @property
    def hidden(self) -> SafeString:
        """The hidden fields."""
        names = [name for name, field in self.form.base_fields.items() if field.widget.is_hidden]
        return SafeString("".join(map(self._input, names)))

    def _input(self, name: str) -> str:
        prefix, widget = f"{self.form.table}-{self.index}", self.form.base_fields[name].widget
        attrs = {"id": f"id_{prefix}-{name}"}
        if not widget.is_hidden:
            attrs["aria-labelledby"] = f"{self.form.heads}-{name} {prefix}-number"
        return str(widget.render(f"{prefix}-{name}", self.values[name], attrs))


@cache
def _render_of(form: type[RowForm]) -> Render:
    """How a stored row of this form is rendered, from its texts. The value of a choice is a tuple, as it is shape."""

    def render(texts: Mapping[str, Any]) -> str:
        given = ((name, texts[name]) for name in form.base_fields)
        values = {name: value[0] if isinstance(value, tuple) else value for name, value in given}
        row = StoredRow(form, values, **{name: texts[name] for name in ("index", "number", "note", "hits")})
        return render_to_string(form.template, {"rows": [row]})

    return render


class TableForm(GuardedForm):
    """Edits a whole table: `rows` has a form for each row that was sent, `saved` the stored rows."""

    row: ClassVar[type[RowForm]]
    new_row_values: ClassVar[Mapping[str, str]]
    ends_with_empty_row: ClassVar[bool] = False

    def __init__(self, data: Mapping[str, str] | None, *, instance: Instance, initial: Mapping[str, Any]) -> None:
        super().__init__(data, instance=instance, initial=initial)
        given = None if data is None else self._posted(data)
        self.given = self.saved_values() if given is None else given
        self.rows: list[RowForm] = []
        if data is not None:
            self._show(self.given)

    def saved_values(self) -> Sequence[Mapping[str, str]]:
        """The stored rows."""
        raise NotImplementedError

    def make_row(self, values: Mapping[str, str], index: int | str) -> RowForm:
        """The form of one row."""
        return self.row(values, index)

    def stored_texts(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values of a stored row as they are shown, and its `note` and `hits` if it has any."""
        return dict(values)

    @property
    def shown(self) -> SafeString:
        """The rows on the page: the forms of what was sent, or else the stored rows."""
        if self.is_bound:
            return SafeString(render_to_string(self.row.template, {"rows": self.rows}))
        return filled_rows(_render_of(self.row), map(self._texts, count(), self._with_empty(self.given)))

    @property
    def shown_count(self) -> int:
        """How many rows are on the page."""
        return len(self.rows) if self.is_bound else len(self._with_empty(self.given))

    def _texts(self, index: int, values: Mapping[str, str]) -> dict[str, Any]:
        """What `_render_of` takes."""
        texts = {"note": "", "hits": "", **self.stored_texts(values), "index": str(index), "number": str(index + 1)}
        choices = {name: (texts.get(name, ""),) for name in self.row.choices()}
        return dict.fromkeys(self.row.base_fields, "") | texts | choices

    def is_empty(self, values: Mapping[str, str]) -> bool:
        """Is the row unchanged since it was added? Then it is not saved."""
        names = [name for name, field in self.row.base_fields.items() if not field.widget.is_hidden]
        return all(values.get(name, "").strip() == self.new_row_values.get(name, "") for name in names)

    @property
    def new_rows(self) -> list[RowForm]:
        """A template for new rows, as a table of one; the page fills in the number."""
        return [self.make_row(self.new_row_values, "__new__")]

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
        self.rows = [self.make_row(row, number) for number, row in enumerate(self._with_empty(values))]

    def _with_empty(self, values: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        rows = list(values)
        if self.ends_with_empty_row and (not rows or not self.is_empty(rows[-1])):
            rows.append(self.new_row_values)
        return rows

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
