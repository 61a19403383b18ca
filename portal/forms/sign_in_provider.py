"""Forms for the organization's sign-in provider, and for finding one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.models import SignInProvider
from portal.models.sign_in_provider import CLIENT_LENGTH, ISSUER_LENGTH

# Columns that the form writes as they are.
COLUMNS = ("name", "issuer", "client_id", "scopes", "groups_claim", "may_join", "is_second_factor")
_TYPED = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "none"}


class ProviderForm(forms.Form):
    """What an admin says of the provider."""

    name = forms.CharField(label=_("Name on the button"), max_length=40, help_text=_("“Acme account”, for instance."))
    issuer = forms.CharField(
        label=_("Issuer"),
        max_length=ISSUER_LENGTH,
        widget=forms.URLInput(attrs=_TYPED),
        help_text=_("As the provider writes it, such as https://login.example.com. It is public and has HTTPS."),
    )
    client_id = forms.CharField(label=_("Client ID"), max_length=CLIENT_LENGTH, widget=forms.TextInput(attrs=_TYPED))
    client_secret = forms.CharField(
        label=_("Client secret"),
        max_length=500,
        required=False,
        widget=forms.PasswordInput(attrs={**_TYPED, "autocomplete": "new-password"}),
        help_text=_("Kept sealed and never shown again."),
    )
    scopes = forms.CharField(
        label=_("Further scopes"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs=_TYPED),
        help_text=_("Beside openid, email and profile; some providers need “groups”."),
    )
    groups_claim = forms.CharField(
        label=_("Claim with groups"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs=_TYPED),
        help_text=_("“groups”, for instance; dots lead into objects."),
    )
    mapping = forms.CharField(
        label=_("Groups"),
        max_length=50_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_(
            "One line each: a group of the provider, “|”, one of yours. Who signs in is in these groups exactly as "
            "the provider says; other groups stay as they are."
        ),
    )
    may_join = forms.BooleanField(
        label=_("New people may join by it"),
        required=False,
        help_text=_("As members, the least role, if the provider has verified an address of the domains below."),
    )
    domains = forms.CharField(
        label=_("Mail domains of new people"),
        max_length=5_000,
        required=False,
        widget=forms.TextInput(attrs=_TYPED),
        help_text=_("Separated by commas."),
    )
    is_second_factor = forms.BooleanField(
        label=_("It is enough as a second factor"),
        required=False,
        help_text=_("Switch this on if the provider asks for one itself."),
    )

    def __init__(self, *args: Any, provider: SignInProvider | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if provider is not None:
            self.fields["client_secret"].help_text = _("Kept sealed and never shown again. Empty: it stays as it is.")

    def values(self) -> dict[str, Any]:
        """Return the columns."""
        domains = self.cleaned_data["domains"].replace(" ", ",").split(",")
        return {**{name: self.cleaned_data[name] for name in COLUMNS}, "domains": domains}


def initial_of(provider: SignInProvider | None) -> dict[str, Any]:
    """What the form shows of a provider; never its secret."""
    if provider is None:
        return {}
    shown = {name: getattr(provider, name) for name in COLUMNS}
    return {**shown, "domains": ", ".join(provider.domains), "mapping": "\n".join(provider.mapping)}


class OrganizationNameForm(forms.Form):
    """The organization whose provider somebody signs in by."""

    organization = forms.SlugField(
        label=_("Short name of your organization"),
        max_length=40,
        widget=forms.TextInput(attrs={**_TYPED, "autofocus": True}),
        help_text=_("An admin knows it: it ends the address of your sign-in page."),
    )
