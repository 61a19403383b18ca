"""Regions and servers that staff add, and the settings of a server that they may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from portal.exceptions import Conflict, InvalidInput
from vpn.actions.servers.input import checked_addresses, checked_code, checked_name, parse_ssh
from vpn.actions.servers.server import refuse_known
from vpn.choices import Driver
from vpn.forms.fields import LinesField
from vpn.models import Region, Server
from vpn.validators import parse_server_network


class ServerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A server's networks; all other fields are only shown."""

    networks = LinesField(
        label=_("Networks behind this server"),
        required=False,
        help_text=_(
            "Its LAN or VPC, one per line, such as 172.31.5.0/24. Every organization with an instance on this "
            "server may then push them: its devices reach them through the server, masqueraded to its own address. All "
            "other private networks stay blocked, and so do metadata addresses."
        ),
    )

    class Meta:
        model = Server
        fields = ("networks",)

    def clean_networks(self) -> list[str]:
        """Every line is a network that may be allowed."""
        values: list[str] = []
        faults: list[Any] = []
        for line in self.cleaned_data["networks"]:
            try:
                values.append(str(parse_server_network(line)))
            except ValidationError as fault:
                faults.append(fault)
        if faults:
            raise ValidationError(faults)
        return list(dict.fromkeys(values))


class NewRegionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A region whose servers are reached over SSH, or ordered from a cloud."""

    driver = forms.ChoiceField(
        choices=[(Driver.SSH, Driver.SSH.label), (Driver.CLOUD, Driver.CLOUD.label)],
        required=False,
        help_text=_("For a cloud, add its cloud account next."),
    )
    id = forms.CharField(label=_("Code"), validators=[lambda code: _valid(lambda: checked_code(code))])

    class Meta:
        model = Region
        fields = ("id", "name", "country", "latitude", "longitude", "driver", "probe_url")

    def clean_driver(self) -> str:
        """Servers over SSH unless chosen otherwise."""
        return self.cleaned_data["driver"] or Driver.SSH


class NewServerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A server that is reached over SSH."""

    region = forms.ModelChoiceField(queryset=Region.objects.filter(driver=Driver.SSH))
    name = forms.CharField(validators=[lambda name: _valid(lambda: checked_name(name))])
    ssh = forms.CharField(
        label=_("SSH"),
        validators=[lambda text: _valid(lambda: parse_ssh(text))],
        help_text=_("USER@HOST or USER@HOST:PORT: root, or an account that may use sudo for the agent alone."),
    )
    address = forms.CharField(help_text=_("The public address of its hubs, which profiles carry."))
    address_v6 = forms.CharField(label=_("Address (IPv6)"), required=False)
    capacity = forms.IntegerField(
        required=False, min_value=1, help_text=_("The most instances; empty: as many as there are ports for.")
    )

    class Meta:
        model = Server
        fields = ("region", "name", "address", "address_v6", "capacity")

    def clean(self) -> dict[str, Any]:
        """Neither the name nor an address belongs to another server."""
        given: dict[str, Any] = super().clean() or {}
        if {"name", "address", "address_v6"} <= given.keys():
            try:
                refuse_known(given["name"], checked_addresses(given["address"], given["address_v6"]))
            except InvalidInput as refusal:
                for field, faults in refusal.errors.items():
                    self.add_error(field, faults)
            except Conflict as refusal:
                self.add_error(refusal.field, refusal.message)
        return given


def _valid(check: Callable[[], object]) -> None:
    """Raise ValidationError where `check` raises InvalidInput."""
    try:
        check()
    except InvalidInput as refusal:
        raise ValidationError([fault for faults in refusal.errors.values() for fault in faults]) from None
