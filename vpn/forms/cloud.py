"""The cloud account of a region, in Django admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.exceptions import Conflict
from vpn.actions.servers.account import account_faults, refuse_other_provider
from vpn.choices import Driver
from vpn.clouds import PROVIDERS
from vpn.forms.fields import LinesField
from vpn.models import CloudAccount, Region


class CloudAccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings of an account. The secret is never shown again; left empty, the former one stays."""

    # For the list of suggestions.
    providers = tuple(PROVIDERS)
    region = forms.ModelChoiceField(queryset=Region.objects.filter(driver=Driver.CLOUD))
    provider = forms.CharField(
        label=pgettext_lazy("label", "Provider"),
        widget=forms.TextInput(attrs={"list": "providers"}),
        help_text=_("The provider's name."),
    )
    secret = forms.CharField(
        label=pgettext_lazy("label", "Secret"),
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Sealed and never shown. Empty: the former one stays, unless provider, endpoint or key change."),
    )
    capacity = forms.IntegerField(
        label=pgettext_lazy("label", "Capacity"),
        min_value=1,
        initial=20,
        help_text=_("The most instances of each server."),
    )
    ssh_from = LinesField(
        required=False,
        label=_("Networks that may use SSH"),
        help_text=_("IPv4 networks, one per line, where the portal opens ports: the portal's own. Empty: everyone."),
    )

    class Meta:
        model = CloudAccount
        fields = (
            *("region", "provider", "key", "secret", "location", "size", "image", "network", "endpoint"),
            *("project", "domain", "capacity", "ssh_from"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"].help_text = provider_table()
        if self.instance.pk and self.instance.region_id:
            self.fields["region"].disabled = True

    def clean(self) -> dict[str, Any]:
        """The settings that the provider needs are there, and no servers of another one."""
        given: dict[str, Any] = super().clean() or {}
        # Django admin derives a form, whose Meta also has the columns that are only shown.
        names = CloudAccountForm.Meta.fields
        settings = {name: given.get(name) for name in names if name not in {"region", "secret"}}
        if None in settings.values():
            return given  # A field of its own is at fault.
        stored = CloudAccount.objects.select_related("region").filter(pk=self.instance.pk).first()
        former = stored or CloudAccount()
        for field, faults in account_faults(settings, former, given.get("secret", "")).items():
            self.add_error(field, faults)
        try:
            refuse_other_provider(former, str(settings["provider"]))
        except Conflict as refusal:
            self.add_error(refusal.field, refusal.message)
        return given


def provider_table() -> SafeString:
    """What each setting means at the described providers."""
    rows = format_html_join(
        "",
        "<li><strong>{}</strong> ({}): {}</li>",
        ((name, one.label, _settings_of(name)) for name, one in PROVIDERS.items()),
    )
    return format_html(
        gettext(
            "One of these, or another provider's name in apache-libcloud if its servers take user data.<ul>{}</ul>"
        ),
        rows,
    )


def _settings_of(name: str) -> str:
    described = PROVIDERS[name]
    names = ("key", "secret", "location", "size", "image", "network", "endpoint")
    given = [(setting, getattr(described, setting)) for setting in names]
    # As the fields are labelled (portal/labels.py).
    parts = [f"{pgettext('label', setting)}: {_(words)}" for setting, words in given if words]
    opened = (
        gettext("the portal opens the ports of hubs")
        if described.opens_ports
        else gettext("leave the firewall of the provider off")
    )
    return "; ".join([*parts, opened])
