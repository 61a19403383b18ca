"""Choosing another region for an instance."""

from __future__ import annotations

from typing import Any

from django import forms

from vpn.models import Instance, Region


class MoveForm(forms.Form):
    """The region to which an instance moves."""

    region = forms.ModelChoiceField(
        label="Region",
        queryset=Region.objects.none(),
        empty_label=None,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a region.", "invalid_choice": "Choose one of the regions below."},
    )

    def __init__(self, instance: Instance, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        others = Region.objects.exclude(pk=instance.region_id)
        self.fields["region"].queryset = others  # type: ignore[attr-defined]
        # By region, why it takes no instance; "" if it does.
        self.region_choices = [(region, region.why_closed) for region in others.order_by("-available", "name")]
        self.fields["region"].initial = next((region.pk for region, closed in self.region_choices if not closed), None)

    @property
    def chosen_region(self) -> str:
        """The id of the selected region."""
        return str(self["region"].value() or "")
