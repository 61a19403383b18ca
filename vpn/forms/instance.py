"""Creating an instance, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.figures import grouped
from vpn.constants import (
    DEFAULT_MTU,
    DEFAULT_POOL_PREFIX,
    HOSTNAME_LENGTH,
    MAX_MTU,
    MAX_POOL_PREFIX,
    MIN_MTU,
    MIN_POOL_PREFIX,
    NAME_LENGTH,
    PADDING,
    TUNNEL_OVERHEAD,
)
from vpn.forms.fields import LinesField
from vpn.forms.note import NOTE, note_field
from vpn.models import Instance, Region
from vpn.validators import parse_pushed_route, validate_hostname, validate_mtu, validate_name, validate_pool

Form = TypeVar("Form", bound=forms.Form)
_TAKEN_OVER = gettext_lazy(
    "WireGuard devices need a new profile after a change. OpenVPN devices receive it by themselves: "
    "connected ones reconnect within a minute."
)


def _pool_sizes() -> list[tuple[int, str]]:
    """Every prefix length that a pool may have, with the number of peers that fit in it."""
    return [
        (prefix, _("/%(prefix)s: up to %(count)s peers") % {"prefix": prefix, "count": grouped(2 ** (32 - prefix) - 3)})
        for prefix in range(MAX_POOL_PREFIX, MIN_POOL_PREFIX - 1, -1)
    ]


def _name_field() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Name"),
        validators=[validate_name],
        help_text=format_lazy(
            gettext_lazy("What your people call this hub, {least} to {most} characters."),
            least=NAME_LENGTH[0],
            most=NAME_LENGTH[1],
        ),
        widget=forms.TextInput(attrs={"maxlength": NAME_LENGTH[1], "autocomplete": "off"}),
    )


class PoolField(forms.CharField):
    """The network of the peers' addresses. Empty: a free one for a new instance, else the present one."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"})
        super().__init__(required=False, validators=[validate_pool], widget=widget, **options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Was another network entered?"""
        return bool(data and data.strip()) and super().has_changed(initial, data)


def _lines_widget(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocapitalize": "off", "class": "mono"})


class HostnameInput(forms.TextInput):
    """A text input for a hostname; during typing the page asks the server whether it is free (create.html)."""

    def __init__(self) -> None:
        super().__init__(
            attrs={
                "maxlength": HOSTNAME_LENGTH[1],
                "autocomplete": "off",
                "autocapitalize": "off",
                "spellcheck": "false",
                "data-preview": "address-preview",
                "aria-describedby": "hostname-message id_hostname_helptext",
            }
        )


class InstanceForm(forms.Form):
    """Where a new instance runs and what it is called."""

    name = _name_field()
    hostname = forms.CharField(
        label=gettext_lazy("Hostname"),
        strip=True,
        validators=[validate_hostname],
        help_text=format_lazy(
            gettext_lazy(
                "The first part of its DNS domain: {least} to {most} of a to z, 0 to 9 and hyphens. It cannot be "
                "changed later."
            ),
            least=HOSTNAME_LENGTH[0],
            most=HOSTNAME_LENGTH[1],
        ),
        widget=HostnameInput(),
    )
    region = forms.ModelChoiceField(
        label=gettext_lazy("Region"),
        queryset=Region.objects.all(),
        error_messages={
            "required": gettext_lazy("Choose where the hub runs."),
            "invalid_choice": gettext_lazy("Choose one of the regions below."),
        },
    )
    pool_prefix = forms.TypedChoiceField(
        label=gettext_lazy("Pool size"),
        coerce=int,
        choices=_pool_sizes,
        initial=DEFAULT_POOL_PREFIX,
        empty_value=DEFAULT_POOL_PREFIX,  # type: ignore[arg-type]
        required=False,
        help_text=gettext_lazy(
            "The addresses that peers get inside the tunnels. The range itself is chosen so that it is free."
        ),
    )

    pool = PoolField(
        label=gettext_lazy("Pool"),
        help_text=format_lazy(
            gettext_lazy(
                "Empty: a free part of {base}. Some internet providers (carrier-grade NAT) and other overlay VPNs on "
                "the same device, such as Tailscale, use 100.64.0.0/10 too. Where that is so among your peers, enter "
                "a private network that none of their LANs has, such as 10.210.0.0/20. Its prefix length is 16 to 24."
            ),
            base=settings.POOL_BASE,
        ),
    )

    @property
    def domain(self) -> str:
        """The part after the hostname in the full name."""
        return f".{settings.VPN_DOMAIN}"

    @property
    def more_is_open(self) -> bool:
        """Is there a value or fault under "More settings" that must be visible?"""
        return bool(self["pool"].value() or self["pool"].errors or self["pool_prefix"].errors)


class RoutingForm(forms.Form):
    """Networks that split-tunnel devices send to the hub besides the pool and the sites' subnets."""

    pushed_routes = LinesField(
        label=gettext_lazy("Networks"),
        required=False,
        strip=False,
        widget=_lines_widget(5),
        help_text=format_lazy(
            "{} {}",
            gettext_lazy("One per line, or separated by commas or spaces, such as 10.20.0.0/16."),
            _TAKEN_OVER,
        ),
    )

    note = note_field()

    def clean_pushed_routes(self) -> list[str]:
        """Every line is a network that may be pushed."""
        return _parsed(self.cleaned_data["pushed_routes"], parse_pushed_route)


class SettingsForm(forms.Form):
    """The instance's name, MTU and pool."""

    name = _name_field()
    mtu = forms.IntegerField(
        label=gettext_lazy("MTU"),
        validators=[validate_mtu],
        help_text=format_lazy(
            gettext_lazy(
                "The largest packet inside the tunnels, {least} to {most} bytes: {overhead} less than the narrowest "
                "internet access among the peers, then down to a multiple of {padding}. {default} fits PPPoE (1,492) "
                "and mobile networks (1,420). If some pages load and others hang, try {least}. Devices need a new "
                "profile after a change."
            ),
            least=MIN_MTU,
            most=MAX_MTU,
            overhead=TUNNEL_OVERHEAD,
            padding=PADDING,
            default=DEFAULT_MTU,
        ),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    pool = PoolField(
        label=gettext_lazy("Pool"),
        help_text=format_lazy(
            "{} {}",
            format_lazy(
                gettext_lazy(
                    "Where the peers' addresses come from. To widen it, enter a network that contains this one, at "
                    "most a /{prefix}, and no network that the hub routes. Every address stays."
                ),
                prefix=MIN_POOL_PREFIX,
            ),
            _TAKEN_OVER,
        ),
    )
    members_add_devices = forms.BooleanField(
        label=gettext_lazy("Members add devices for themselves"),
        required=False,
        help_text=gettext_lazy("On their page My VPN, within the number that the organization's settings say."),
    )
    note = note_field()


def settings_form(kind: type[Form], instance: Instance, data: Any, *, may_change: bool) -> Form:
    """A form filled in from the instance; disabled for members who may only read."""
    names = [name for name in kind.base_fields if name != NOTE]
    form = kind(data, initial={name: getattr(instance, name) for name in names})
    for field in form.fields.values():
        field.disabled = not may_change
    return form


def _parsed(lines: Sequence[str], parse: Callable[[str], object]) -> list[str]:
    """The lines in the canonical form of `parse`; raises ValidationError with the fault of every line."""
    values, faults = [], []
    for line in lines:
        try:
            values.append(str(parse(line)))
        except ValidationError as fault:
            faults.append(fault)
    if faults:
        raise ValidationError(faults)
    return values
