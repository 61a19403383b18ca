"""The DNS page's form: whom the hub asks, and a table of records that it answers by itself.

Whether a server, a domain or a record can be is asked in one place, the action's; what it refuses is shown beside the
field.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from django import forms

from vpn.choices import RecordType
from vpn.forms.cheap_widgets import QuickInput, QuickSelect
from vpn.forms.edit_guard import SeenForm
from vpn.forms.fields import LinesField
from vpn.models import Instance

PREFIX: Final = "dns_custom"
FIELDS: Final = ("name", "type", "value")
LISTS: Final = ("public_dns", "split_dns", "domains")
_NEW_ROW: Final = {"name": "", "type": RecordType.A.value, "value": ""}
_KEY: Final = re.compile(rf"{PREFIX}-([0-9]{{1,6}})-(?:{'|'.join(FIELDS)})", re.ASCII)
_COUNT: Final = f"{PREFIX}-TOTAL_FORMS"


class Fault(Protocol):
    """What an action says of a record's field; records are numbered from 1."""

    @property
    def number(self) -> int: ...

    @property
    def field(self) -> str: ...

    @property
    def message(self) -> str: ...


def _lines(rows: int, label: str, help_text: str) -> LinesField:
    attrs = {"rows": rows, "spellcheck": "false", "autocapitalize": "off", "class": "mono"}
    return LinesField(label=label, required=False, strip=False, help_text=help_text, widget=forms.Textarea(attrs=attrs))


def _text(**attrs: object) -> forms.CharField:
    quiet = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "class": "mono", **attrs}
    return forms.CharField(required=False, widget=QuickInput(quiet))


class RecordForm(forms.Form):
    """One row of the table. `note` says what is the matter with a record that is saved."""

    name = _text(maxlength=254, placeholder="nas")
    type = forms.CharField(required=False, widget=QuickSelect(choices=RecordType.choices))
    value = _text(maxlength=254, placeholder="10.1.0.9")

    def __init__(self, values: Mapping[str, str], index: int, note: str = "") -> None:
        prefix = f"{PREFIX}-{index}"
        super().__init__({f"{prefix}-{name}": value for name, value in values.items()}, prefix=prefix)
        for name in FIELDS:
            # The column's head and the record's number together say what this is.
            self.fields[name].widget.attrs["aria-labelledby"] = f"records-{name} {prefix}-number"
        self.values, self.index, self.note = values, index, note

    @property
    def columns(self) -> list[tuple[str, forms.BoundField]]:
        """The fields by the heads of their columns."""
        return [("Answer" if field.name == "value" else field.name.capitalize(), field) for field in self]


class DnsForm(SeenForm):
    """Whom the hub asks for what, and in `rows` a form for each record and for one more."""

    public_dns = _lines(
        3, "Servers", "One address per line. Devices need no new profile when they change: it is the hub that asks."
    )
    domains = _lines(
        3,
        "Domains",
        "One per line, such as corp.example. Devices also search in them: WireGuard devices need a new profile when "
        "they change, OpenVPN devices that are connected reconnect by themselves and learn of it.",
    )
    split_dns = _lines(3, "Their servers", "One address per line, such as 10.1.0.53. They may lie behind a site.")

    def __init__(
        self, data: Mapping[str, str] | None, *, instance: Instance, may_change: bool, unanswered: Collection[str] = ()
    ) -> None:
        super().__init__(data, instance=instance, initial={name: getattr(instance, name) for name in LISTS})
        for field in self.fields.values():
            field.disabled = not may_change
        self.saved = _saved(instance)
        self.unanswered = unanswered
        # Without its count there is no table: then its records stay.
        self.given = self.saved if data is None or _COUNT not in data else _posted(data)
        self._show(self.given)

    def state_of(self, instance: Instance) -> object:
        """The lists and the records."""
        return [[getattr(instance, name) for name in LISTS], _saved(instance)]

    @property
    def has_faults(self) -> bool:
        """Was a record refused?"""
        return any(row.errors for row in self.rows)

    def rearrange(self) -> bool:
        """Do what a button other than Save asks for: remove a row or add one. Nothing that was typed is lost."""
        if not {"remove", "add"} & set(self.data):
            return False
        rows = list(self.given)
        number = self.data.get("remove", "")
        focus = len(rows)
        if "add" in self.data:
            rows.append(_NEW_ROW)
        elif number.isascii() and number.isdecimal() and int(number) < len(rows):
            focus = int(number)
            del rows[focus]
        self._show(rows)
        self.rows[min(focus, len(self.rows) - 1)].fields["name"].widget.attrs["autofocus"] = True
        return True

    def changes(self) -> dict[str, Any]:
        """What is different from what is saved, as `update_instance` takes it; the form has to be valid."""
        found: dict[str, Any] = {}
        for name in LISTS:
            if name in self.data and self.cleaned_data[name] != getattr(self.instance, name):
                found[name] = self.cleaned_data[name]
        records = [dict(row.values) for row in self._filled()]
        if records != self.saved:
            found[PREFIX] = records
        return found

    def show_faults(self, faults: Sequence[Fault]) -> None:
        """Put what was refused beside the fields of the records."""
        rows = self._filled()
        for fault in faults:
            rows[fault.number - 1].add_error(fault.field, fault.message)

    def _filled(self) -> list[RecordForm]:
        """The rows that are not empty."""
        return [row for row in self.rows if row.values["name"].strip() or row.values["value"].strip()]

    def _show(self, values: Sequence[Mapping[str, str]]) -> None:
        rows = list(values)
        if not rows or rows[-1]["name"].strip() or rows[-1]["value"].strip():
            rows.append(_NEW_ROW)
        self.rows = [RecordForm(row, number, self._note(row)) for number, row in enumerate(rows)]

    def _note(self, row: Mapping[str, str]) -> str:
        if row["type"] != RecordType.CNAME or row["value"] not in self.unanswered:
            return ""
        return "Not answered: the hub does not know this name any more."


def _saved(instance: Instance) -> list[dict[str, str]]:
    return [{name: getattr(record, name) for name in FIELDS} for record in instance.dns_records.all()]


def _posted(data: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows that were sent, by their numbers."""
    numbers = sorted({int(found[1]) for key in data if (found := _KEY.fullmatch(key))})
    return [
        _NEW_ROW | {name: data[key] for name in FIELDS if (key := f"{PREFIX}-{number}-{name}") in data}
        for number in numbers
    ]
