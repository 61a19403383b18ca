"""Adding and editing peers: is the input well formed? Actions decide whether it is allowed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.forms.searched import SearchedBoundField, SearchedField, SearchingForm
from portal.models import Membership, MembershipState, Organization
from vpn.addressing.networks import is_broad
from vpn.choices import Platform
from vpn.constants import SUBNET_NESTED, SUBNET_OVERLAP
from vpn.forms.end import EndFields
from vpn.forms.fields import (
    AliasesForm,
    ConfirmationField,
    NetworksField,
    ShownSubnetsForm,
    TrueFalseField,
    VersionField,
    listed,
)
from vpn.forms.note import note_field
from vpn.forms.place import PlaceField, PlacingForm
from vpn.forms.protocol import ProtocolFields
from vpn.models import Instance, Peer, Site
from vpn.platforms.versions import version_fault
from vpn.validators import parse_network, validate_label_text, validate_wireguard_key

NEW_SITE = gettext_lazy("A new site")


class MemberField(SearchedField):
    """One of an organization's members, by name and address."""

    def label_from_instance(self, obj: Any) -> str:
        """The name with the address, so that people with the same name can be told apart."""
        return f"{obj.user.name} ({obj.user.email})" if obj.user.name else obj.user.email


class ClientFields(EndFields, ProtocolFields):
    """The fields of a client peer that can be set when it is added and later."""

    device = forms.CharField(
        label=gettext_lazy("Device"),
        required=False,
        validators=[validate_label_text],
        help_text=gettext_lazy("What the owner calls it, such as laptop or phone."),
        widget=forms.TextInput(attrs={"maxlength": 40, "autocomplete": "off"}),
    )
    route_all = TrueFalseField(
        label=gettext_lazy("What goes through the VPN"),
        no=gettext_lazy("Split tunnel"),
        yes=gettext_lazy("All traffic"),
        initial=False,
    )


class ClientPeerForm(SearchingForm, ClientFields):
    """One user's device."""

    user_id = MemberField(
        label=gettext_lazy("Member"),
        queryset=Membership.objects.none(),
        searched=("user__name", "user__email"),
        hint=gettext_lazy("Name or email"),
        nouns=gettext_lazy("members"),
        empty_label=gettext_lazy("Choose a member"),
        error_messages={"required": gettext_lazy("Choose whose device this is.")},
    )
    public_key = forms.CharField(
        label=gettext_lazy("The device's own public key"),
        required=False,
        validators=[validate_wireguard_key],
        help_text=gettext_lazy("Only if the device made its own key pair: the profile then has no private key in it."),
        widget=forms.TextInput(
            attrs={"data-secret": True, "class": "mono", "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    field_order = ("user_id", "device", "protocol", "route_all", "expires_at", "unused_days", "public_key")

    def __init__(self, *args: Any, organization: Organization, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["user_id"].queryset = _members_of(organization)  # type: ignore[attr-defined]
        self.fields["unused_days"].initial = organization.unused_days
        if self.is_search and not _is_key(self.data.get("public_key", "")):
            self._forget_key()

    def clean(self) -> dict[str, Any]:
        """Forgets an invalid key, which may be a private one that was pasted by mistake."""
        if "public_key" in self.errors:
            self._forget_key()
        return super().clean() or {}

    def _forget_key(self) -> None:
        self.data = dict(self.data.items()) | {"public_key": ""}

    @property
    def more_is_open(self) -> bool:
        """Does a field under "More settings" have a value or an error?"""
        return any(self[name].value() or self[name].errors for name in ("expires_at", "unused_days", "public_key"))


class SubnetFields(EndFields, ProtocolFields, ShownSubnetsForm):
    """The subnets that a site advertises, its protocol, and when it ends."""

    subnets = NetworksField(
        label=gettext_lazy("Subnets behind the router"),
        required=False,
        help_text=gettext_lazy(
            "IPv4 or IPv6 networks, such as 10.1.0.0/24 or fd10:1::/64: one per line, or separated by commas or spaces."
        ),
    )
    confirm_broad_routes = ConfirmationField(
        label=gettext_lazy("Yes, route these ranges to this site"),
        help_text=gettext_lazy(
            "The more specific route wins: of two ranges that contain each other, each address goes to the "
            "site with the narrower one."
        ),
    )
    note = note_field()

    def __init__(self, *args: Any, site: Site | None = None, advertised: Collection[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.site = site
        self._advertised = frozenset(advertised)
        self.fields["expires_at"].help_text = _("From then on the hub refuses the router. Empty: it has no end.")

    @property
    def router(self) -> tuple[str, str]:
        """The router that the site has."""
        return (self.site.platform, self.site.platform_version) if self.site else ("", "")

    @property
    def overlaps(self) -> bool:
        """Was a subnet refused because another site has it?"""
        return self.has_error("subnets", SUBNET_OVERLAP)

    @property
    def end_is_open(self) -> bool:
        """Does a field of the end have a value or an error?"""
        return any(self[name].value() or self[name].errors for name in ("expires_at", "unused_days"))

    @property
    def asks_confirmation(self) -> bool:
        """Is a new subnet broad, or was one refused because it nests with another site's?"""
        if self.has_error("subnets", SUBNET_NESTED) or (self.is_bound and self["confirm_broad_routes"].value()):
            return True
        value = self["subnets"].value()
        networks = value if isinstance(value, list) else listed(value)
        return any(network not in self._advertised and _is_broad_text(network) for network in networks)


class SitePeerForm(PlacingForm, SearchingForm, AliasesForm, SubnetFields):
    """A site's router: of an existing site, or of one that is added along with it."""

    site_id = SearchedField(
        label=gettext_lazy("Site"),
        required=False,
        queryset=Site.objects.none(),
        searched=("name", "place", "subnets"),
        hint=gettext_lazy("Name, place or subnet"),
        nouns=gettext_lazy("sites"),
        empty_label=NEW_SITE,
    )
    site_name = forms.CharField(
        label=gettext_lazy("Name of the new site"),
        required=False,
        validators=[validate_label_text],
        widget=forms.TextInput(attrs={"maxlength": 40, "autocomplete": "off"}),
    )
    site_platform = forms.ChoiceField(
        label=gettext_lazy("Its router runs"), required=False, choices=Platform.choices, initial=Platform.ROUTEROS7
    )
    site_platform_version = VersionField()
    site_place = PlaceField(label=gettext_lazy("Place of the new site"))
    place_field = "site_place"
    field_order = (
        "site_id",
        "site_name",
        "site_place",
        "site_platform",
        "site_platform_version",
        "protocol",
        "subnets",
        "alias",
    )

    def __init__(self, *args: Any, instance: Instance, member: Membership, **options: Any) -> None:
        super().__init__(*args, **options)
        found = _sites_without_peer(instance)
        if member.is_operator:
            # To connect a site changes it on the hubs that have it already, and to add one is for admins.
            found = found.exclude(peers__in=Peer.objects.exclude(instance__in=member.operated))
            self.fields["site_id"].empty_label = _("Choose a site")  # type: ignore[attr-defined]
        self.fields["site_id"].queryset = found  # type: ignore[attr-defined]
        self._may_add_site = not member.is_operator

    @property
    def router(self) -> tuple[str, str]:
        """The router of the chosen site, or else that of the new site."""
        chosen = self["site_id"].value()
        if chosen:
            found = self.fields["site_id"].queryset  # type: ignore[attr-defined]
            try:
                row = found.filter(pk=chosen).values_list("platform", "platform_version").first()
            except ValidationError:
                row = None
            return row or ("", "")
        return str(self["site_platform"].value() or ""), str(self["site_platform_version"].value() or "")

    @property
    def has_sites(self) -> bool:
        """Is there a site to choose?"""
        return cast("SearchedBoundField", self["site_id"]).total > 0

    def clean(self) -> dict[str, Any]:
        """Requires a site, or a name for a new one with a version that its platform has."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self._may_add_site:
            if not cleaned.get("site_id") and not self.errors:
                self.add_error("site_id", _("Choose a site. An admin can add a new one."))
            return cleaned
        if not cleaned.get("site_id"):
            platform = cleaned.get("site_platform") or Platform.ROUTEROS7
            fault = version_fault(platform, cleaned.get("site_platform_version", ""))
            if fault:
                self.add_error("site_platform_version", fault)
            self.find_place()
        if not cleaned.get("site_id") and not cleaned.get("site_name") and not self.errors:
            missing = _("Choose a site, or name the new one.") if self.has_sites else _("Name the new site.")
            self.add_error("site_name", missing)
        return cleaned


def edit_form(peer: Peer, data: Any = None) -> forms.Form:
    """The form that edits a peer, filled in from it."""
    if peer.is_site:
        initial = _of(peer, "protocol", "subnets", "expires_at", "unused_days") | {
            "subnets_shown": " ".join(peer.subnets)
        }
        return SubnetFields(data, initial=initial, site=peer.site, advertised=peer.subnets)
    return ClientFields(data, initial=_of(peer, "protocol", "device", "route_all", "expires_at", "unused_days"))


def _of(peer: Peer, *names: str) -> dict[str, Any]:
    return {name: getattr(peer, name) for name in names}


def _members_of(organization: Organization) -> QuerySet[Membership]:
    found = Membership.objects.filter(organization=organization).exclude(state=MembershipState.DEACTIVATED)
    return found.filter(user__is_active=True).select_related("user").order_by("user__name", "user__email")


def _sites_without_peer(instance: Instance) -> QuerySet[Site]:
    return Site.objects.filter(organization=instance.organization_id).exclude(peers__instance=instance)


def _is_key(text: str) -> bool:
    try:
        validate_wireguard_key(text)
    except ValidationError:
        return False
    return True


def _is_broad_text(text: str) -> bool:
    try:
        return is_broad(parse_network(text))
    except ValidationError:
        return False
