"""Choosing another region for an instance."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from vpn.models import Instance, Region


class MoveForm(forms.Form):
    """The region to which an instance moves."""

    region = forms.ModelChoiceField(
        label=_("Region"),
        queryset=Region.objects.none(),
        error_messages={"required": _("Choose a region."), "invalid_choice": _("Choose one of the regions below.")},
    )

    def __init__(self, instance: Instance, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        others = Region.objects.exclude(pk=instance.region_id)
        self.fields["region"].queryset = others  # type: ignore[attr-defined]
