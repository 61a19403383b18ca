"""Settings of a server that staff may change."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from vpn.forms.fields import LinesField
from vpn.models import Server
from vpn.validators import parse_server_network


class ServerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A server's networks; all other fields are only shown."""

    networks = LinesField(
        label="Networks behind this server",
        required=False,
        help_text="Its LAN or VPC, one per line, such as 172.31.5.0/24. Every organization with an instance on this "
        "server may then push them: its devices reach them through the server, masqueraded to its own address. All "
        "other private networks stay blocked, and so do metadata addresses.",
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
