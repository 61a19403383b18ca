"""Adding and editing sites."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from vpn.choices import Platform
from vpn.constants import SUBNET_NESTED
from vpn.forms.fields import AliasesForm, ConfirmationField, NetworksField, ShownSubnetsForm, VersionField
from vpn.forms.note import note_field
from vpn.forms.place import PlaceField, PlacingForm
from vpn.geo.places import clearly_meant, find_places
from vpn.models import Site
from vpn.platforms.versions import version_fault
from vpn.validators import validate_label_text

FIELDS = ("name", "platform", "platform_version", "place", "latitude", "longitude", "subnets", "alias")


class SiteForm(PlacingForm, AliasesForm, ShownSubnetsForm):
    """A branch with its router."""

    name = forms.CharField(
        label=_("Name"),
        validators=[validate_label_text],
        widget=forms.TextInput(attrs={"maxlength": 40, "autocomplete": "off"}),
    )
    platform = forms.ChoiceField(label=_("The router runs"), choices=Platform.choices, initial=Platform.ROUTEROS7)
    platform_version = VersionField()
    subnets = NetworksField(
        label=_("Subnets behind the router"),
        required=False,
        help_text=_(
            "IPv4 or IPv6 networks, such as 10.1.0.0/24 or fd10:1::/64: one per line, or separated by commas or "
            "spaces. Every instance that the site is connected to routes them."
        ),
    )
    confirm_broad_routes = ConfirmationField(
        label=_("Yes, route these ranges to this site"),
        help_text=_(
            "The more specific route wins: if one range contains the other, addresses in both go to the "
            "site with the narrower one."
        ),
    )
    place = PlaceField()
    coordinates_at = _("under “More settings”")
    latitude = forms.FloatField(label=_("Latitude"), required=False, min_value=-90, max_value=90)
    longitude = forms.FloatField(label=_("Longitude"), required=False, min_value=-180, max_value=180)

    note = note_field()

    def clean(self) -> dict[str, Any]:
        """The version is one of the platform's, and the place is known or has coordinates."""
        cleaned: dict[str, Any] = super().clean() or {}
        fault = version_fault(cleaned.get("platform", Platform.OTHER), cleaned.get("platform_version", ""))
        if fault:
            self.add_error("platform_version", fault)
        # A place has its own coordinates unless others were entered.
        if not self._has_coordinates(cleaned) and (place := self.find_place()) is not None:
            cleaned["latitude"], cleaned["longitude"] = place.point
        return cleaned

    def _has_coordinates(self, cleaned: dict[str, Any]) -> bool:
        """Were coordinates entered? Not those of another place, with which the form was shown."""
        given = cleaned.get("latitude"), cleaned.get("longitude")
        if given == (None, None):
            return bool({"latitude", "longitude"} & self.errors.keys())
        former = clearly_meant(find_places(self.get_initial_for_field(self.fields["place"], "place") or ""))
        return not self._is_new_place() or former is None or given != former.point

    @property
    def asks_confirmation(self) -> bool:
        """Was a subnet refused because it contains another site's, or lies within it?"""
        return self.has_error("subnets", SUBNET_NESTED) or bool(self.is_bound and self["confirm_broad_routes"].value())

    @property
    def more_is_open(self) -> bool:
        """Is there a value or fault under "More settings" that must be visible?"""
        names = ("platform_version", "latitude", "longitude")
        return any(self[name].value() not in (None, "") or self[name].errors for name in names)


def site_form(site: Site, data: Any = None) -> SiteForm:
    """The form that edits a site, filled in from it."""
    shown = " ".join(site.subnets)
    return SiteForm(data, initial={"subnets_shown": shown, **{name: getattr(site, name) for name in FIELDS}})
