"""Widgets for tables with thousands of fields: rendering a template for each would take seconds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Any

from django import forms
from django.utils.safestring import SafeString


class CheapInput(forms.TextInput):
    """A text input, or a hidden one with another `input_type`."""

    def __init__(self, attrs: dict[str, Any] | None = None, *, input_type: str = "text") -> None:
        super().__init__(attrs)
        self.input_type = input_type

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The input as HTML."""
        given = {**self.attrs, **(attrs or {}), "value": self.format_value(value)}
        return SafeString(f'<input type="{self.input_type}" name="{escape(name)}"{_attributes(given)}>')


class CheapSelect(forms.Select):
    """A select. A chosen value that is not offered is added to the options, so that its fault is visible."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The select as HTML."""
        choices = tuple((str(key), str(label)) for key, label in self.choices)
        if value and value not in dict(choices):
            choices = (*choices, (str(value), str(value)))
        given = {**self.attrs, **(attrs or {})}
        return SafeString(f'<select name="{escape(name)}"{_attributes(given)}>{_options(choices, value)}</select>')


def _attributes(given: Mapping[str, Any]) -> str:
    """The attributes of an element, as `flatatt` makes them: this takes a third of its time."""
    valued = {name: value for name, value in given.items() if value is not None and value is not False}
    return "".join(f" {name}" if value is True else f' {name}="{escape(str(value))}"' for name, value in valued.items())


@lru_cache(maxsize=100)
def _options(choices: tuple[tuple[str, str], ...], value: Any) -> str:
    """The options of a select; most rows of a table have the same few."""
    return "".join(
        f'<option value="{escape(key)}"{" selected" if key == value else ""}>{escape(label)}</option>'
        for key, label in choices
    )
