"""Adding and editing sites."""

from __future__ import annotations

from typing import Any

from django import forms

from vpn.choices import Platform
from vpn.constants import SUBNET_NESTED
from vpn.forms.fields import ConfirmationField, NetworksField, ShownSubnetsForm, VersionField
from vpn.models import Site
from vpn.platforms.versions import version_fault
from vpn.validators import validate_label_text

FIELDS = ("name", "platform", "platform_version", "place", "latitude", "longitude", "subnets")


class SiteForm(ShownSubnetsForm):
    """A branch with its router."""

    name = forms.CharField(
        label="Name",
        validators=[validate_label_text],
        widget=forms.TextInput(attrs={"maxlength": 40, "autocomplete": "off"}),
    )
    platform = forms.ChoiceField(label="The router runs", choices=Platform.choices, initial=Platform.ROUTEROS7)
    platform_version = VersionField()
    subnets = NetworksField(
        label="Subnets behind the router",
        required=False,
        help_text="IPv4 or IPv6 networks, such as 10.1.0.0/24 or fd10:1::/64: one per line, or separated by commas or "
        "spaces. Every instance that the site is connected to routes them.",
    )
    confirm_broad_routes = ConfirmationField(
        label="Yes, route these ranges to this site",
        help_text="The more specific route wins: if one range contains the other, addresses in both go to the "
        "site with the narrower one.",
    )
    place = forms.CharField(label="Place", required=False, max_length=80, help_text="Such as Berlin, DE.")
    latitude = forms.FloatField(label="Latitude", required=False, min_value=-90, max_value=90)
    longitude = forms.FloatField(label="Longitude", required=False, min_value=-180, max_value=180)

    def clean(self) -> dict[str, Any]:
        """The version is one of the platform's."""
        cleaned: dict[str, Any] = super().clean() or {}
        fault = version_fault(cleaned.get("platform", Platform.OTHER), cleaned.get("platform_version", ""))
        if fault:
            self.add_error("platform_version", fault)
        return cleaned

    @property
    def asks_confirmation(self) -> bool:
        """Was a subnet refused because it contains another site's, or lies within it?"""
        return self.has_error("subnets", SUBNET_NESTED) or bool(self.is_bound and self["confirm_broad_routes"].value())

    @property
    def more_is_open(self) -> bool:
        """Is there a value or fault under "More settings" that must be visible?"""
        names = ("platform_version", "place", "latitude", "longitude")
        return any(self[name].value() not in (None, "") or self[name].errors for name in names)


def site_form(site: Site, data: Any = None) -> SiteForm:
    """The form that edits a site, filled in from it."""
    shown = " ".join(site.subnets)
    return SiteForm(data, initial={"subnets_shown": shown, **{name: getattr(site, name) for name in FIELDS}})
