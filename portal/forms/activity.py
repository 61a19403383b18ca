"""The filters of the Activity page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit.reading import Filters
from portal.audit.words import WORDS
from portal.forms.day import DayInput
from portal.searching import as_typed

_ID_LENGTH = 40


class ActivityForm(forms.Form):
    """Who, what, on which object, when, and words to search. What cannot be read does not count."""

    q = forms.CharField(required=False, max_length=100, label=_("Search"))
    what = forms.ChoiceField(required=False, label=_("What"))
    since = forms.DateField(required=False, label=_("From"), widget=DayInput())
    until = forms.DateField(required=False, label=_("To"), widget=DayInput())
    actor = forms.CharField(required=False, max_length=_ID_LENGTH, widget=forms.HiddenInput)
    object = forms.CharField(required=False, max_length=_ID_LENGTH, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = sorted(((code, str(text)) for code, text in WORDS.items()), key=lambda pair: pair[1])
        what = self.fields["what"]
        assert isinstance(what, forms.ChoiceField)  # noqa: S101 - for the type checker
        what.choices = [("", gettext("Everything")), *words]

    @property
    def filters(self) -> Filters:
        """The filters that are valid."""
        self.is_valid()
        given = self.cleaned_data
        until = given.get("until")
        return Filters(
            actor=as_typed(given.get("actor", "")),
            object=as_typed(given.get("object", "")),
            code=given.get("what", ""),
            since=_start_of(given.get("since")),
            until=_start_of(until + timedelta(days=1)) if until else None,
            words=as_typed(given.get("q", "")),
        )

    @property
    def given(self) -> dict[str, str]:
        """The filters that are valid, as the query has them."""
        self.is_valid()
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


def _start_of(day: Any) -> datetime | None:
    """Midnight in the zone of the user."""
    return timezone.make_aware(datetime.combine(day, datetime.min.time())) if day else None
