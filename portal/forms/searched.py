"""A choice among rows that may be thousands: a search asks the server, with and without JavaScript."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms.boundfield import BoundWidget
from django.forms.utils import ErrorDict
from django.utils.functional import Promise

from portal.searching import as_typed, with_words

MOST_OPTIONS: Final = 50
# The button's name: it sends the whole form back, to be shown with the options that match.
SEARCH: Final = "search"
_TEXT: Final = "_search"
_LINES: Final = 6


class SearchableBoundField(forms.BoundField):
    """A choice in a form, with the text that is searched."""

    # What answers a search by HTMX, and the id of the element whose content it replaces.
    template: ClassVar[str]

    @property
    def target(self) -> str:
        """The id of the element that holds the options."""
        return self.id_for_label

    @property
    def text_name(self) -> str:
        """The name of the input for the text."""
        return f"{self.html_name}{_TEXT}"

    @cached_property
    def text(self) -> str:
        """The typed text."""
        given = self.form.data if self.form.is_bound else self.form.initial
        return as_typed(given.get(self.text_name, ""))

    @cached_property
    def total(self) -> int:
        """The number of rows to choose from."""
        return self._rows.count()

    @property
    def is_long(self) -> bool:
        """Are there too many to show them all?"""
        return self.total > MOST_OPTIONS

    @property
    def _rows(self) -> QuerySet[Any]:
        return cast("QuerySet[Any]", cast("Any", self.field).queryset)

    @property
    def _matches(self) -> QuerySet[Any]:
        return with_words(self._rows, self.text, *cast("Any", self.field).searched)


class SearchedBoundField(SearchableBoundField):
    """The options of a choice: all if they are few, else the chosen one and the first that match the typed text."""

    field: SearchedField
    template = "partials/options.html"

    @cached_property
    def matching(self) -> int:
        """The number of rows that match."""
        return self._matches.count() if self.is_long and self.text else self.total

    @cached_property
    def options(self) -> list[tuple[Any, str]]:
        """Values and labels."""
        rows: list[Model] = list(self._matches[:MOST_OPTIONS] if self.is_long else self._rows)
        chosen = self._chosen
        if chosen is not None and chosen not in rows:
            rows.insert(0, chosen)
        # A list without a row of its own for "nothing" can have nothing selected.
        empty = self.field.empty_label if not (self.is_long and self.field.required) else None
        first = [] if empty is None else [("", str(empty))]
        return first + [(row.pk, self.field.label_from_instance(row)) for row in rows]

    @property
    def shown(self) -> int:
        """The number of matching rows among the options."""
        return min(self.matching, MOST_OPTIONS)

    def as_widget(self, widget: Any = None, attrs: Any = None, only_initial: bool = False) -> Any:
        """The select with these options."""
        self.field.widget.choices = self.options
        if self.is_long:
            focus = {"autofocus": True} if cast("SearchingForm", self.form).asked_field is self else {}
            attrs = {"size": _LINES, **focus, **(attrs or {})}
        return super().as_widget(widget, attrs, only_initial)

    @cached_property
    def subwidgets(self) -> list[BoundWidget]:
        """These options alone."""
        self.field.widget.choices = self.options
        return super().subwidgets

    @property
    def _chosen(self) -> Model | None:
        try:
            return self._rows.filter(pk=self.value()).first() if self.value() else None
        except ValidationError:
            return None


class SearchedField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """One of the queryset's rows. `searched` are the columns in which the words of the text are looked for.

    `hint` says what can be typed, `noun` and `nouns` what is counted.
    """

    def __init__(self, *, searched: tuple[str, ...], hint: str | Promise, nouns: str | Promise, **options: Any) -> None:
        super().__init__(**options)
        self.searched, self.hint, self.nouns = searched, hint, nouns

    def get_bound_field(self, form: Any, field_name: str) -> SearchedBoundField:
        """The field in a form."""
        return SearchedBoundField(form, self, field_name)


class SearchingForm(forms.Form):
    """A form with searched choices. Sent by a Search button, it is shown as it was typed, without errors."""

    @property
    def is_search(self) -> bool:
        """Was it sent to search?"""
        return self.is_bound and SEARCH in self.data

    @property
    def asked_field(self) -> SearchableBoundField | None:
        """The choice that is searched."""
        name = str(self.data.get(SEARCH, "")) if self.is_bound else ""
        found = self[name] if name in self.fields else None
        return found if isinstance(found, SearchableBoundField) else None

    def full_clean(self) -> None:
        """Validate, unless the form was sent to search."""
        if not self.is_search:
            super().full_clean()
            return
        self._errors = ErrorDict()
        self.cleaned_data: dict[str, Any] = {}
