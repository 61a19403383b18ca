"""The part of the firewall page's form about the management of routers: their services, and who may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpn.forms.end_field import EndField
from vpn.forms.rule_ends import Ends
from vpn.models import Instance
from vpn.router_services import SOURCE_KINDS, RouterService, service_names

# The page's form sends it. A form without it leaves the management of routers as it is.
MARK: Final = "management"


class SourcesField(forms.MultipleChoiceField):
    """Sites and groups. The action refuses others."""

    def valid_value(self, value: str) -> bool:
        """Accept all: those found by name are not among the first options."""
        return True


class ManagementForm(forms.Form):
    """The services of routers, and who may reach them. `more` is one more by its name, where there are many."""

    management_services = forms.MultipleChoiceField(
        label=gettext_lazy("Services"),
        choices=RouterService.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    management_sources = SourcesField(
        label=gettext_lazy("Who may use them"), required=False, widget=forms.CheckboxSelectMultiple
    )
    management_more = EndField(label=gettext_lazy("One more, by name"))

    def offer_management(self, ends: Ends) -> None:
        """Offer the first sites and groups, and those that are chosen."""
        chosen = self["management_sources"].value() or []
        ends.know(chosen)
        offered = dict(ends.first_of(SOURCE_KINDS)) | {value: ends.words(value) for value in chosen}
        sources, more = (cast("Any", self.fields[name]) for name in ("management_sources", "management_more"))
        sources.choices = list(offered.items())
        more.ends = ends
        more.widget.attrs["placeholder"] = _("a site or a group")

    def management_changes(self, instance: Instance) -> dict[str, list[str]]:
        """What differs from the stored values."""
        if MARK not in self.data:
            return {}
        more = self.cleaned_data["management_more"]
        added = [more] if more != "any" else []
        wanted = {
            "management_services": list(self.cleaned_data["management_services"]),
            "management_sources": list(dict.fromkeys([*self.cleaned_data["management_sources"], *added])),
        }
        return wanted if _differs(wanted, instance) else {}


def _differs(wanted: Mapping[str, Sequence[str]], instance: Instance) -> bool:
    return any(set(values) != set(getattr(instance, name)) for name, values in wanted.items())


def management_words(instance: Instance, ends: Ends) -> str:
    """Who may manage routers, by which services; "" if nobody may."""
    if not instance.management_sources:
        return ""
    sources = ", ".join(ends.words(source) for source in instance.management_sources)
    services = service_names(instance.management_services)
    return _("%(sources)s may manage routers: %(services)s") % {"sources": sources, "services": services}
