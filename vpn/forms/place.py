"""A place by its name, found without a network; a name that several towns have offers a choice."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.figures import grouped
from vpn.geo.places import Place, clearly_meant, find_places, has_towns

PLACE_LENGTH: Final = 80
# Further towns of the same name are found by adding their country.
_MOST_CHOICES: Final = 8


class PlaceField(forms.CharField):
    """A town."""

    def __init__(self, **options: Any) -> None:
        given = {
            "label": gettext_lazy("Place"),
            "max_length": PLACE_LENGTH,
            "help_text": gettext_lazy(
                "The town, such as Berlin or Springfield, Illinois. New instances are suggested close to it."
            ),
            "widget": forms.TextInput(attrs={"autocomplete": "off"}),
            **options,
        }
        super().__init__(required=False, **given)


class PlacingForm(forms.Form):
    """A form with a PlaceField named `place_field`; `place_choice` is the full name of one of several towns."""

    place_field = "place"
    # Where coordinates are entered, seen from this form.
    coordinates_at: str | Promise = gettext_lazy("on the site's page")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Full names of towns to choose from, with their people, if the name is that of several.
        self.place_choices: list[tuple[str, str]] = []

    def find_place(self) -> Place | None:
        """Find the town that was entered, and put its full name in its field; add an error if it is not one town."""
        text = self.cleaned_data.get(self.place_field, "")
        if not text:
            return None
        found = find_places(text)
        choice = str(self.data.get("place_choice", ""))
        place = next((one for one in found if one.label == choice), None)
        if place is not None:
            self.cleaned_data[self.place_field] = place.label
            return place
        if (place := clearly_meant(found)) is None and self._is_new_place():
            self.place_choices = [
                (one.label, _("%(count)s people") % {"count": grouped(one.people)}) for one in found[:_MOST_CHOICES]
            ]
            self.add_error(self.place_field, _several(text, len(found)) if found else self._unknown(text))
        return place

    def _is_new_place(self) -> bool:
        """Was another place entered than the form was shown with?"""
        return self.place_field in self.changed_data

    def _unknown(self, text: str) -> str:
        values = {"town": text, "place": self.coordinates_at}
        if not has_towns():
            return (
                _("This portal has no table of towns. Leave this empty and enter the coordinates %(place)s.") % values
            )
        return (
            _(
                "No town called %(town)s is known; the list has those with more than 15,000 people. Enter a larger "
                "town nearby, or leave this empty and enter the coordinates %(place)s."
            )
            % values
        )


def _several(text: str, count: int) -> str:
    values = {"count": count, "town": text, "most": _MOST_CHOICES}
    if count <= _MOST_CHOICES:
        return _("%(count)s towns are called %(town)s. Choose one below.") % values
    return (
        _(
            "%(count)s towns are called %(town)s. Choose one below. These are the %(most)s largest; a country after a "
            "comma finds others."
        )
        % values
    )
