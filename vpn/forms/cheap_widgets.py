"""Widgets for tables with thousands of fields: rendering a template for each would take seconds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


class CheapInput(forms.TextInput):
    """A text input, or a hidden one with another `input_type`."""

    def __init__(self, attrs: dict[str, Any] | None = None, *, input_type: str = "text") -> None:
        super().__init__(attrs)
        self.input_type = input_type

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The input as HTML."""
        given = {**self.attrs, **(attrs or {}), "value": self.format_value(value)}
        return format_html('<input type="{}" name="{}"{}>', self.input_type, name, flatatt(given))


class CheapSelect(forms.Select):
    """A select. A chosen value that is not offered is added to the options, so that its fault is visible."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The select as HTML."""
        choices = [(str(key), str(label)) for key, label in self.choices]
        if value and value not in dict(choices):
            choices.append((str(value), str(value)))
        marked = [(key, SafeString(" selected") if key == value else "", label) for key, label in choices]
        options = format_html_join("", '<option value="{}"{}>{}</option>', marked)
        given = {**self.attrs, **(attrs or {})}
        return format_html('<select name="{}"{}>{}</select>', name, flatatt(given), options)
