"""A field for one end of a rule, typed as a name."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from vpn.forms.cheap_widgets import CheapInput
from vpn.forms.rule_ends import ANYTHING, Ends


class EndField(forms.CharField):
    """One end of a rule: a name, a network, or any form that the API accepts. The form sets `ends`."""

    ends: Ends

    def __init__(self, **options: Any) -> None:
        attrs: dict[str, Any] = {
            "list": "rule-ends",
            "autocomplete": "off",
            "spellcheck": "false",
            "autocapitalize": "off",
        }
        attrs["placeholder"] = _(ANYTHING)
        super().__init__(required=False, widget=CheapInput(attrs), **options)

    def prepare_value(self, value: Any) -> str:
        """The end in words."""
        return self.ends.words(str(value or ""))

    def clean(self, value: Any) -> str:
        """The end in the form of a rule."""
        return self.ends.value(super().clean(value))
