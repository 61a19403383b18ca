"""Forms for the organization's sign-in provider, and for finding one."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.models import SignInProvider
from portal.models.sign_in_provider import ATTRIBUTE_LENGTH, CLIENT_LENGTH, ISSUER_LENGTH
from portal.web.safe_xml import MOST_LETTERS

_TYPED = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "none"}


class _AnyProviderForm(forms.Form):
    """What an admin says of a provider of either kind."""

    columns: ClassVar[tuple[str, ...]]

    name = forms.CharField(label=_("Name on the button"), max_length=40, help_text=_("“Acme account”, for instance."))
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
        kwargs["initial"] = self._initial_of(provider)
        super().__init__(*args, **kwargs)

    def values(self) -> dict[str, Any]:
        """Return the columns."""
        domains = self.cleaned_data["domains"].replace(" ", ",").split(",")
        return {**{name: self.cleaned_data[name] for name in self.columns}, "domains": domains}

    def _initial_of(self, provider: SignInProvider | None) -> dict[str, Any]:
        """What the form shows of a provider; never its secret."""
        if provider is None:
            return {}
        shown = {name: getattr(provider, name) for name in self.columns}
        return {**shown, "domains": ", ".join(provider.domains), "mapping": "\n".join(provider.mapping)}


class ProviderForm(_AnyProviderForm):
    """What an admin says of an OpenID Connect provider."""

    columns = ("name", "issuer", "client_id", "scopes", "groups_claim", "may_join", "is_second_factor")

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

    def __init__(self, *args: Any, provider: SignInProvider | None, **kwargs: Any) -> None:
        super().__init__(*args, provider=provider, **kwargs)
        if provider is not None:
            self.fields["client_secret"].help_text = _("Kept sealed and never shown again. Empty: it stays as it is.")


class SamlProviderForm(_AnyProviderForm):
    """What an admin says of a SAML provider."""

    columns = ("name", "mail_attribute", "name_attribute", "groups_claim", "may_join", "is_second_factor")

    metadata = forms.CharField(
        label=_("Metadata of the provider"),
        max_length=MOST_LETTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("Paste the XML. You may save first, and give the portal's metadata to the provider."),
    )
    metadata_file = forms.FileField(
        label=_("Or its file"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".xml,application/xml,text/xml,application/samlmetadata+xml"}),
    )
    mail_attribute = forms.CharField(
        label=_("Attribute with the mail address"),
        max_length=ATTRIBUTE_LENGTH,
        required=False,
        widget=forms.TextInput(attrs=_TYPED),
        help_text=_("One that people cannot change themselves. It counts in the mail domains below alone."),
    )
    name_attribute = forms.CharField(
        label=_("Attribute with the name"),
        max_length=ATTRIBUTE_LENGTH,
        required=False,
        widget=forms.TextInput(attrs=_TYPED),
    )

    def __init__(self, *args: Any, provider: SignInProvider | None, **kwargs: Any) -> None:
        super().__init__(*args, provider=provider, **kwargs)
        groups = self.fields["groups_claim"]
        groups.label, groups.help_text = _("Attribute with groups"), _("A try shows the names of all attributes.")
        self.fields["may_join"].help_text = _("As members, the least role, with an address of the domains below.")
        if provider is not None and provider.issuer:
            self.fields["metadata"].help_text = _("Paste the XML. Empty: it stays as it is.")

    def clean_metadata_file(self) -> str:
        """Return the file's text."""
        file = self.cleaned_data["metadata_file"]
        if not file:
            return ""
        if file.size > MOST_LETTERS:
            raise forms.ValidationError(_("The document is too long."))
        try:
            text: str = file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise forms.ValidationError(_("This file is not UTF-8 text.")) from None
        return text

    def given_metadata(self) -> str:
        """The metadata of the file, or else as it was pasted; "" for none."""
        return str(self.cleaned_data["metadata_file"] or self.cleaned_data["metadata"])


class OrganizationNameForm(forms.Form):
    """The organization whose provider somebody signs in by."""

    organization = forms.SlugField(
        label=_("Short name of your organization"),
        max_length=40,
        widget=forms.TextInput(attrs={**_TYPED, "autofocus": True}),
        help_text=_("An admin knows it: it ends the address of your sign-in page."),
    )
