"""Fields that several forms share."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn.choices import Protocol
from vpn.constants import SUBNET_OVERLAP
from vpn.platforms.versions import VERSION_LENGTH
from vpn.validators import parse_network


def listed(text: object) -> list[str]:
    """The values of a list as people type it: on lines of their own, or separated by commas or spaces.

    No value contains any of these, but a network may be typed or pasted with spaces around its slash.
    """
    joined = re.sub(r"[ \t]*/[ \t]*", "/", str(text or ""))
    return [value for value in re.split(r"[\s,;]+", joined) if value]


class LinesField(forms.CharField):
    """A list of networks, addresses or domains, one per line or separated by commas or spaces."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """A list as lines; a text as it was typed."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """The values as a list; a disabled field has its initial list."""
        return value if isinstance(value, list) else listed(value)


class NetworksField(LinesField):
    """Networks in CIDR notation. Every faulty one is reported at once."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocapitalize": "off", "class": "mono"})
        super().__init__(**{"widget": widget, "strip": False, **options})

    def validate(self, value: list[str]) -> None:
        """Raise one ValidationError with the fault of each network."""
        super().validate(value)
        faults: list[ValidationError] = []
        for line in value:
            try:
                parse_network(line)
            except ValidationError as fault:
                faults.append(fault)
        if faults:
            raise ValidationError(faults)

    def run_validators(self, value: Any) -> None:
        """Do nothing: the validators of a text do not fit a list."""


class AliasesField(LinesField):
    """Alias subnets, one LAN=ALIAS per line."""

    def __init__(self, **options: Any) -> None:
        given = {
            "label": _("Alias subnets"),
            "help_text": _(
                "For a LAN that another site has, too: the LAN, = and the network of the same size that stands for it, "
                "such as 192.168.88.0/24=10.224.0.0/24. The router translates one to one."
            ),
            **options,
        }
        super().__init__(required=False, **given)

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """The values as a list."""
        return super().to_python(re.sub(r"[ \t]*=[ \t]*", "=", value) if isinstance(value, str) else value)


class AliasesForm(forms.Form):
    """A form with `subnets` and `aliases`, which offers aliases where subnets overlap another site's."""

    alias = AliasesField()

    def offer_aliases(self, proposed: list[str]) -> None:
        """Fill in these aliases, if a subnet was refused because another site has it."""
        if proposed and self.has_error("subnets", SUBNET_OVERLAP):
            there = [*self.fields["alias"].clean(self["alias"].value()), *proposed]
            self.data = dict(self.data.items()) | {"alias": "\n".join(dict.fromkeys(there))}

    @property
    def offers_aliases(self) -> bool:
        """Does the page show the field: has it a value, or was a subnet refused?"""
        return bool(self["alias"].value()) or self.has_error("subnets", SUBNET_OVERLAP) or bool(self["alias"].errors)


class VersionField(forms.CharField):
    """The version of a router's software, as it was pasted."""

    def __init__(self, **options: Any) -> None:
        given = {
            "label": _("Version"),
            "max_length": VERSION_LENGTH,
            "help_text": _("As the router shows it, such as 7.16.1 (stable) or OpenWrt 23.05.5 r24106-10cc5e456a."),
            "widget": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
            **options,
        }
        super().__init__(required=False, **given)


class ShownSubnetsForm(forms.Form):
    """A form with `subnets` that also sends the subnets it was shown with.

    If they are equal, saving does not undo a concurrent change on the page of the site or of its peer.
    """

    subnets_shown = forms.CharField(required=False, widget=forms.HiddenInput)

    @property
    def leaves_subnets(self) -> bool:
        """Are the subnets unchanged since the form was shown? False for a form that was not shown in a page."""
        shown = self.data.get("subnets_shown") if self.is_bound else None
        return shown is not None and set(listed(shown)) == set(self.cleaned_data.get("subnets", ()))


class TrueFalseField(forms.TypedChoiceField):
    """A choice between two options, each with its own words; the values are `true` and `false`."""

    widget = forms.RadioSelect

    def __init__(self, *, no: str | Promise, yes: str | Promise, **options: Any) -> None:
        choices = [("false", no), ("true", yes)]
        super().__init__(choices=choices, coerce=_is_true, required=False, **options)

    def clean(self, value: Any) -> bool:
        """True only if `true` was chosen."""
        return bool(super().clean(value))

    def prepare_value(self, value: Any) -> Any:
        """True and False as the values of the two choices."""
        return str(value).lower() if isinstance(value, bool) else value


class ProtocolField(forms.ChoiceField):
    """WireGuard or OpenVPN. If none is sent, a new peer gets WireGuard, and an existing one keeps its protocol."""

    widget = forms.RadioSelect

    def __init__(self, **options: Any) -> None:
        given = {"label": _("Protocol"), "choices": Protocol.choices, "initial": Protocol.WIREGUARD, **options}
        super().__init__(required=False, **given)

    def clean(self, value: Any) -> str:
        """One of the protocols."""
        return str(super().clean(value) or Protocol.WIREGUARD)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Was another protocol chosen?"""
        return bool(data) and super().has_changed(initial, data)


class MomentField(forms.DateTimeField):
    """A moment, typed and shown as local time in `zone`: the reader's, unless the form sends another."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(**{"widget": widget, **options})
        self.zone: tzinfo | None = None

    def to_python(self, value: Any) -> datetime | None:
        """The moment; a text without an offset is a local time in the zone."""
        with timezone.override(self.zone or timezone.get_current_timezone()):
            return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """The local time in the zone."""
        with timezone.override(self.zone or timezone.get_current_timezone()):
            return super().prepare_value(value)


class ZoneField(forms.CharField):
    """The zone in which the MomentField with the id `of` was shown; a change of the zone alone changes nothing."""

    def __init__(self, *, of: str, **options: Any) -> None:
        super().__init__(required=False, widget=forms.HiddenInput(attrs={"data-zone": of}), **options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Never: the zone is not an input."""
        return False


class ConfirmationField(forms.BooleanField):
    """A box that is ticked to confirm; sends `true`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, widget=forms.CheckboxInput(attrs={"value": "true"}), **options)


def _is_true(value: str) -> bool:
    return value == "true"
