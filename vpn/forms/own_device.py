"""A member adds a device for themselves, or gives one another name."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from vpn.forms.fields import TrueFalseField
from vpn.forms.protocol import ProtocolFields
from vpn.models import Instance
from vpn.models.querysets import InstanceQuerySet
from vpn.validators import validate_label_text


def _name() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Name of the device"),
        validators=[validate_label_text],
        help_text=gettext_lazy("Such as phone or laptop."),
        widget=forms.TextInput(attrs={"maxlength": 40, "autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Name the device, such as phone.")},
    )


class OwnDeviceForm(ProtocolFields):
    """A device of the reader's own. The hub is asked for only where there are several."""

    instance = forms.ModelChoiceField(
        label=gettext_lazy("Hub"),
        queryset=Instance.objects.none(),
        empty_label=None,
        error_messages={"required": gettext_lazy("Choose a hub.")},
    )
    device = _name()
    route_all = TrueFalseField(
        label=gettext_lazy("What goes through the VPN"),
        no=gettext_lazy("Split tunnel"),
        yes=gettext_lazy("All traffic"),
        initial=False,
    )
    field_order = ("instance", "device", "protocol", "route_all")

    def __init__(self, *args: Any, instances: InstanceQuerySet, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["instance"].queryset = instances  # type: ignore[attr-defined]
        self.fields["instance"].label_from_instance = lambda one: one.name  # type: ignore[attr-defined]
        self.only = instances[0] if len(instances[:2]) == 1 else None
        if self.only is not None:
            self.fields["instance"].required = False

    def clean_instance(self) -> Instance | None:
        """The chosen hub, or the only one."""
        chosen: Instance | None = self.cleaned_data["instance"]
        return chosen or self.only


class DeviceNameForm(forms.Form):
    """Another name for a device."""

    device = _name()
