"""The DNS page's form: upstream servers, domains with servers of their own, and a table of records.

An action checks them; the form shows each fault beside its field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpn.choices import RecordType
from vpn.forms.cheap_widgets import CheapInput, CheapSelect
from vpn.forms.fields import LinesField
from vpn.forms.table import RowForm, TableForm
from vpn.models import Instance

PREFIX: Final = "dns_custom"
FIELDS: Final = ("name", "type", "value")
LISTS: Final = ("public_dns", "split_dns", "domains")


def _lines(rows: int, label: Any, help_text: Any) -> LinesField:
    attrs = {"rows": rows, "spellcheck": "false", "autocapitalize": "off", "class": "mono"}
    return LinesField(label=label, required=False, strip=False, help_text=help_text, widget=forms.Textarea(attrs=attrs))


def _text(**attrs: object) -> forms.CharField:
    quiet = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "class": "mono", **attrs}
    return forms.CharField(required=False, widget=CheapInput(quiet))


class RecordForm(RowForm):
    """One record."""

    table = PREFIX
    heads = "records"
    kind = "record"
    template = "vpn/dns/records.html"
    labels = {"name": gettext_lazy("Name"), "type": gettext_lazy("Type"), "value": gettext_lazy("Answer")}

    name = _text(maxlength=254, placeholder="nas")
    type = forms.CharField(required=False, widget=CheapSelect(choices=RecordType.choices))
    value = _text(maxlength=254, placeholder="10.1.0.9")


class DnsForm(TableForm):
    """The servers and domains, and in `rows` a form for each record and for one more."""

    row = RecordForm
    new_row_values = {"name": "", "type": RecordType.A.value, "value": ""}
    ends_with_empty_row = True

    public_dns = _lines(
        3,
        gettext_lazy("Servers"),
        gettext_lazy("One address per line. A change needs no new profiles, since the hub forwards the queries."),
    )
    domains = _lines(
        3,
        gettext_lazy("Domains"),
        gettext_lazy(
            "One per line, such as corp.example. Devices also search in them: WireGuard devices need a new profile "
            "when they change, OpenVPN devices that are connected reconnect by themselves and learn of it."
        ),
    )
    split_dns = _lines(
        3,
        gettext_lazy("Their servers"),
        gettext_lazy("One address per line, such as 10.1.0.53. They may be behind a site."),
    )

    def __init__(
        self, data: Mapping[str, str] | None, *, instance: Instance, may_change: bool, unanswered: Collection[str] = ()
    ) -> None:
        self.saved, self.unanswered = _saved(instance), unanswered
        super().__init__(data, instance=instance, initial={name: getattr(instance, name) for name in LISTS})
        for field in self.fields.values():
            field.disabled = not may_change

    def state_of(self, instance: Instance) -> object:
        """The lists and the records."""
        return [[getattr(instance, name) for name in LISTS], _saved(instance)]

    def saved_values(self) -> list[dict[str, str]]:
        """The records as they are stored."""
        return self.saved

    def make_row(self, values: Mapping[str, str], index: int | str) -> RecordForm:
        """The form of a record, with a note if its name does not resolve."""
        row = RecordForm(values, index)
        row.note = self._note_on(values)
        return row

    def stored_texts(self, values: Mapping[str, str]) -> dict[str, str]:
        """A stored record, with the same note."""
        return {**values, "note": self._note_on(values)}

    def _note_on(self, values: Mapping[str, str]) -> str:
        if values["type"] == RecordType.CNAME and values["value"] in self.unanswered:
            return _("Not answered: the hub does not know this name any more.")
        return ""

    def is_empty(self, values: Mapping[str, str]) -> bool:
        """Are the record's name and answer empty? Its type does not count."""
        return not (values["name"].strip() or values["value"].strip())

    def changes(self) -> dict[str, Any]:
        """What differs from the stored values, as `update_instance` takes it; the form has to be valid."""
        found: dict[str, Any] = {}
        for name in LISTS:
            if name in self.data and self.cleaned_data[name] != getattr(self.instance, name):
                found[name] = self.cleaned_data[name]
        records = [dict(row.values) for row in self.filled()]
        if records != self.saved:
            found[PREFIX] = records
        return found


def _saved(instance: Instance) -> list[dict[str, str]]:
    return [{name: getattr(record, name) for name in FIELDS} for record in instance.dns_records.all()]
