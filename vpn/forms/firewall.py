"""The firewall page's form: a policy and a table of rules, whose ends are typed as people call them.

Whether a rule is well formed is asked in one place, the action's; what it refuses is shown beside the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_interface
from typing import Any, Final, Protocol
from uuid import UUID

from django import forms

from portal.models import Group, Membership
from vpn.choices import FirewallPolicy, RuleAction, RuleProtocol
from vpn.forms.cheap_widgets import QuickInput, QuickSelect
from vpn.forms.edit_guard import SEEN, SeenForm
from vpn.models import FirewallRule, Instance, Site

PREFIX: Final = "firewall"
ANYTHING: Final = "Anything"
FIELDS: Final = ("name", "action", "protocol", "port", "source", "destination")
_NEW_ROW: Final = {"action": RuleAction.ACCEPT.value, "protocol": RuleProtocol.ANY.value}
_ANY: Final = {"", "any", ANYTHING.casefold()}
_KINDS: Final = ("group:", "site:", "user:")
_KEY: Final = re.compile(rf"{PREFIX}-([0-9]{{1,6}})-(?:id|{'|'.join(FIELDS)})", re.ASCII)


class Fault(Protocol):
    """What an action says of a rule's field; rules are numbered from 1."""

    @property
    def number(self) -> int: ...

    @property
    def field(self) -> str: ...

    @property
    def message(self) -> str: ...


class Ends:
    """The sites, members and groups that a rule can name, in words: `site:ID` is "Berlin (site)"."""

    def __init__(self, organization_id: UUID) -> None:
        groups = Group.objects.filter(organization=organization_id)
        sites = Site.objects.filter(organization=organization_id)
        members = Membership.objects.filter(organization=organization_id).select_related("user")
        named = [("any", ANYTHING, ANYTHING)]
        named += [(f"group:{group.pk}", f"{group.name} (group)", group.name) for group in groups]
        named += [(f"site:{site.pk}", f"{site.name} (site)", site.name) for site in sites]
        named += [
            (f"user:{one.pk}", f"{one.user.name} ({one.user.email})" if one.user.name else one.user.email, one.label)
            for one in members.order_by("user__name", "user__email")
        ]
        self.options = [label for _, label, _ in named]
        self._words = {value: label for value, label, _ in named}
        self._labels = {label: value for value, label, _ in named}
        # Without regard to case, and by the bare name, if that is unique.
        self._names = _unambiguous((value, name.casefold()) for value, _, name in named)
        self._names |= _unambiguous((value, label.casefold()) for value, label, _ in named)

    def words(self, value: str) -> str:
        """How a rule's end reads; a network, and what is not there any more, as it is."""
        return self._words.get(value, value)

    def value(self, text: str) -> str:
        """The end of a rule for what was typed. An unknown name stays as it is; an empty text means any.

        Keywords and networks come before names: a person called "any" is not meant by "any".
        """
        text = text.strip()
        if text in self._labels:
            return self._labels[text]
        folded = text.casefold()
        if folded in _ANY:
            return "any"
        return text if _is_literal(text) else self._names.get(folded, text)


def _is_literal(text: str) -> bool:
    """Is this meant as a network, or as `kind:ID`?"""
    try:
        ip_interface(text)
    except ValueError:
        return text.startswith(_KINDS)
    return True


def _unambiguous(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values by name, for unique names."""
    found: dict[str, list[str]] = {}
    for value, name in named:
        found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


class EndField(forms.CharField):
    """One end of a rule: a name out of many, or a network. Takes what the API takes, too."""

    def __init__(self, ends: Ends) -> None:
        attrs = {"list": "rule-ends", "autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
        attrs["placeholder"] = ANYTHING
        super().__init__(required=False, widget=QuickInput(attrs))
        self.ends = ends

    def prepare_value(self, value: Any) -> str:
        """The end in words."""
        return self.ends.words(str(value or ""))

    def clean(self, value: Any) -> str:
        """The end as a rule has it."""
        return self.ends.value(super().clean(value))


class RuleForm(forms.Form):
    """One row of the table."""

    id = forms.CharField(required=False, widget=QuickInput(input_type="hidden"))
    name = forms.CharField(required=False, widget=QuickInput({"maxlength": 40, "autocomplete": "off"}))
    action = forms.CharField(required=False, widget=QuickSelect(choices=RuleAction.choices))
    protocol = forms.CharField(required=False, widget=QuickSelect(choices=RuleProtocol.choices))
    port = forms.CharField(
        required=False,
        widget=QuickInput({"maxlength": 13, "autocomplete": "off", "placeholder": "all", "class": "mono"}),
    )

    def __init__(self, values: Mapping[str, str], number: int | str, ends: Ends, *, hits: int | None = None) -> None:
        prefix = f"{PREFIX}-{number}"
        super().__init__({f"{prefix}-{name}": value for name, value in values.items()}, prefix=prefix)
        self.fields["source"] = EndField(ends)
        self.fields["destination"] = EndField(ends)
        for name in FIELDS:
            # The column's head and the rule's number together say what this is.
            self.fields[name].widget.attrs["aria-labelledby"] = f"rules-{name} {prefix}-number"
        self.values, self.hits, self.index = values, hits, number

    @property
    def columns(self) -> list[tuple[str, forms.BoundField]]:
        """The fields that are seen, by the heads of their columns."""
        return [(field.name.capitalize(), field) for field in self if field.name != "id"]


class FirewallForm(SeenForm):
    """The policy, and in `rows` a form for each rule."""

    firewall_policy = forms.ChoiceField(choices=FirewallPolicy.choices, required=False, widget=forms.RadioSelect)

    def __init__(self, data: Mapping[str, str] | None, *, instance: Instance, ends: Ends) -> None:
        self.saved = list(instance.firewall_rules.all())
        super().__init__(data, instance=instance, initial={"firewall_policy": instance.firewall_policy})
        self.ends = ends
        posted = _posted(data or {})
        # Without rows it is the page's own form that says that there are none.
        is_table = posted or (data is not None and SEEN in data)
        self._show(posted if is_table else [_values_of(rule) for rule in self.saved])

    def state_of(self, instance: Instance) -> object:
        """The policy and the rules."""
        rules = self.saved if instance is self.instance else instance.firewall_rules.all()
        return [instance.firewall_policy, [[getattr(rule, name) for name in FIELDS] for rule in rules]]

    @property
    def chosen_policy(self) -> str:
        """The policy that is ticked."""
        return str(self["firewall_policy"].value() or self.instance.firewall_policy)

    @property
    def has_faults(self) -> bool:
        """Was a rule refused?"""
        return any(row.errors for row in self.rows)

    @property
    def rules(self) -> list[dict[str, Any]]:
        """What is saved, in words, for those who only read."""
        ends = self.ends
        return [
            {
                "name": rule.name,
                "action": rule.get_action_display(),
                "protocol": rule.get_protocol_display(),
                "port": rule.port,
                "source": ends.words(rule.source),
                "destination": ends.words(rule.destination),
                "hits": rule.hits,
            }
            for rule in self.saved
        ]

    @property
    def new_row(self) -> RuleForm:
        """A row to make more rows from; its number is to be filled in."""
        return RuleForm(_NEW_ROW, "__new__", self.ends)

    def rearrange(self) -> bool:
        """Do what a button other than Save asks for: move, remove or add a row. Nothing that was typed is lost."""
        rows = [row.values for row in self.rows]
        focus: int | None = None
        if found := re.fullmatch(r"([0-9]{1,6})-(up|down)", self.data.get("move", ""), re.ASCII):
            focus = _moved(rows, int(found[1]), -1 if found[2] == "up" else 1)
        elif (number := self.data.get("remove", "")).isdecimal() and int(number) < len(rows):
            del rows[int(number)]
        elif "add" in self.data:
            focus = len(rows)
            rows.append(_NEW_ROW)
        if not {"move", "remove", "add"} & set(self.data):
            return False
        self._show(rows)
        if focus is not None:
            self.rows[focus].fields["name"].widget.attrs["autofocus"] = True
        return True

    def is_valid(self) -> bool:
        """Could everything be read? Faults of rules are the action's to find."""
        return bool(super().is_valid() and all(row.is_valid() for row in self.rows))

    def changes(self) -> dict[str, Any]:
        """What is different from what is saved, as `update_instance` takes it; the form has to be valid."""
        rules = [_rule_of(row.cleaned_data) for row in self._filled()]
        found: dict[str, Any] = {}
        if rules != [{name: getattr(rule, name) for name in FIELDS} for rule in self.saved]:
            found["firewall"] = rules
        policy = self.cleaned_data["firewall_policy"] or self.instance.firewall_policy
        return found | ({"firewall_policy": policy} if policy != self.instance.firewall_policy else {})

    def show_faults(self, faults: Sequence[Fault]) -> None:
        """Put what was refused beside the fields of the rules."""
        rows = self._filled()
        for fault in faults:
            rows[fault.number - 1].add_error(fault.field, fault.message)

    def _filled(self) -> list[RuleForm]:
        """The rows that were edited: one as it was added is no rule yet."""
        return [
            row
            for row in self.rows
            if any(row.values.get(name, "").strip() != _NEW_ROW.get(name, "") for name in FIELDS)
        ]

    def _show(self, values: Sequence[Mapping[str, str]]) -> None:
        hits = {str(rule.pk): rule.hits for rule in self.saved}
        self.rows = [
            RuleForm(row, number, self.ends, hits=hits.get(row.get("id", ""))) for number, row in enumerate(values)
        ]


def _posted(data: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows that were sent, by their numbers."""
    numbers = sorted({int(found[1]) for key in data if (found := _KEY.fullmatch(key))})
    names = ("id", *FIELDS)
    return [
        _NEW_ROW | {name: data[key] for name in names if (key := f"{PREFIX}-{number}-{name}") in data}
        for number in numbers
    ]


def _values_of(rule: FirewallRule) -> dict[str, str]:
    return {"id": str(rule.pk)} | {name: getattr(rule, name) for name in FIELDS}


def _rule_of(cleaned: Mapping[str, str]) -> dict[str, str]:
    return {name: cleaned[name] for name in FIELDS}


def _moved(rows: list[Any], position: int, step: int) -> int | None:
    """Move a row; returns where it is now, None where there is no such row."""
    if position >= len(rows):
        return None
    target = min(max(position + step, 0), len(rows) - 1)
    rows.insert(target, rows.pop(position))
    return target
