"""The firewall page's form: a policy and a table of rules, whose ends are typed as names.

An action checks the rules; the form shows each fault beside its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.figures import grouped
from vpn.choices import FirewallPolicy, RuleAction, RuleProtocol
from vpn.forms.cheap_widgets import CheapInput, CheapSelect
from vpn.forms.end_field import EndField
from vpn.forms.management import ManagementForm, management_words
from vpn.forms.rule_ends import Ends
from vpn.forms.table import RowForm, TableForm
from vpn.models import Instance

PREFIX: Final = "firewall"
FIELDS: Final = ("name", "action", "protocol", "port", "source", "destination")


class RuleForm(RowForm):
    """One rule."""

    table = PREFIX
    heads = "rules"
    kind = "rule"
    template = "vpn/firewall/rows.html"
    labels = {
        "name": _("Name"),
        "action": _("Action"),
        "protocol": _("Protocol"),
        "port": _("Port"),
        "source": _("Source"),
        "destination": _("Destination"),
    }

    id = forms.CharField(required=False, widget=CheapInput(input_type="hidden"))
    name = forms.CharField(required=False, widget=CheapInput({"maxlength": 40, "autocomplete": "off"}))
    action = forms.CharField(required=False, widget=CheapSelect(choices=RuleAction.choices))
    protocol = forms.CharField(required=False, widget=CheapSelect(choices=RuleProtocol.choices))
    port = forms.CharField(
        required=False,
        widget=CheapInput({"maxlength": 13, "autocomplete": "off", "placeholder": "all", "class": "mono"}),
    )
    source = EndField()
    destination = EndField()

    def __init__(self, values: Mapping[str, str], index: int | str, ends: Ends, *, hits: str = "") -> None:
        super().__init__(values, index)
        for name in ("source", "destination"):
            cast("EndField", self.fields[name]).ends = ends
        self.hits = hits


class FirewallForm(ManagementForm, TableForm):
    """The policy, the management of routers, and in `rows` a form for each rule."""

    row = RuleForm
    new_row_values = {"action": RuleAction.ACCEPT.value, "protocol": RuleProtocol.ANY.value}

    firewall_policy = forms.ChoiceField(choices=FirewallPolicy.choices, required=False, widget=forms.RadioSelect)

    def __init__(self, data: Mapping[str, str] | None, *, instance: Instance, ends: Ends) -> None:
        self.saved, self.ends = list(instance.firewall_rules.select_related("observation")), ends
        self._hits = {str(rule.pk): grouped(rule.hits) for rule in self.saved}
        ends.know(chain(instance.management_sources, *((rule.source, rule.destination) for rule in self.saved)))
        names = ("firewall_policy", "management_services", "management_sources")
        super().__init__(data, instance=instance, initial={name: getattr(instance, name) for name in names})
        self.offer_management(ends)

    def state_of(self, instance: Instance) -> object:
        """The policy, the rules, and who may manage routers."""
        rules = self.saved if instance is self.instance else instance.firewall_rules.all()
        managing = [instance.management_services, instance.management_sources]
        return [instance.firewall_policy, managing, [[getattr(rule, name) for name in FIELDS] for rule in rules]]

    @property
    def managing(self) -> str:
        """Who may manage routers, as it is saved; "" if nobody may."""
        return management_words(self.instance, self.ends)

    @property
    def chosen_policy(self) -> str:
        """The selected policy."""
        return str(self["firewall_policy"].value() or self.instance.firewall_policy)

    def saved_values(self) -> list[dict[str, str]]:
        """The rules as they are stored."""
        return [{"id": str(rule.pk)} | {name: getattr(rule, name) for name in FIELDS} for rule in self.saved]

    def _posted(self, data: Mapping[str, str]) -> list[dict[str, str]] | None:
        rows = super()._posted(data)
        self.ends.know(row.get(name, "") for row in rows or [] for name in ("source", "destination"))
        return rows

    def make_row(self, values: Mapping[str, str], index: int | str) -> RuleForm:
        """The form of a rule, with the hits of the saved rule."""
        return RuleForm(values, index, self.ends, hits=self._hits.get(values.get("id", ""), ""))

    def stored_texts(self, values: Mapping[str, str]) -> dict[str, str]:
        """A saved rule, its ends in words."""
        ends = {name: self.ends.words(values[name]) for name in ("source", "destination")}
        return {**values, **ends, "hits": self._hits[values["id"]]}

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The saved rules in words, for a member who may only read."""
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

    def changes(self) -> dict[str, Any]:
        """What differs from the stored values, as `update_instance` takes it; the form has to be valid."""
        rules = [_rule_of(row.cleaned_data) for row in self.filled()]
        found: dict[str, Any] = self.management_changes(self.instance)
        if rules != [{name: getattr(rule, name) for name in FIELDS} for rule in self.saved]:
            found["firewall"] = rules
        policy = self.cleaned_data["firewall_policy"] or self.instance.firewall_policy
        return found | ({"firewall_policy": policy} if policy != self.instance.firewall_policy else {})


def _rule_of(cleaned: Mapping[str, str]) -> dict[str, str]:
    return {name: cleaned[name] for name in FIELDS}
