"""A field for a day."""

from __future__ import annotations

from django import forms


class DayInput(forms.DateInput):
    """The browser's own choice of a day, which reads and sends ISO 8601 in every language."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")
