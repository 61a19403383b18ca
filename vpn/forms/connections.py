"""The filters of the Connections page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.searching import as_typed
from vpn.connections.reading import Filters, parse_address

_MINUTE: Final = timedelta(minutes=1)


def _moment(label: Any) -> forms.DateTimeField:
    return forms.DateTimeField(
        required=False,
        label=label,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


class ConnectionsForm(forms.Form):
    """Which peer, address and time, and words to search. What cannot be read does not count."""

    q = forms.CharField(required=False, max_length=100, label=gettext_lazy("Search"))
    address = forms.CharField(required=False, max_length=60, label=gettext_lazy("Tunnel address"))
    since = _moment(gettext_lazy("From"))
    until = _moment(gettext_lazy("To"))
    peer = forms.UUIDField(required=False, widget=forms.HiddenInput)
    person = forms.UUIDField(required=False, widget=forms.HiddenInput)
    site = forms.UUIDField(required=False, widget=forms.HiddenInput)
    instance = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def clean_address(self) -> str:
        """Refuse a text that is no address."""
        text = as_typed(self.cleaned_data["address"])
        if text and parse_address(text) is None:
            raise forms.ValidationError(_("Enter an address, such as 100.64.0.17."))
        return text

    @property
    def filters(self) -> Filters:
        """The filters that are valid. The last minute counts as a whole."""
        self.is_valid()
        given = self.cleaned_data
        until = given.get("until")
        return Filters(
            peer=given.get("peer"),
            person=given.get("person"),
            site=given.get("site"),
            instance=given.get("instance"),
            address=parse_address(given.get("address") or ""),
            since=given.get("since"),
            until=until + _MINUTE if until else None,
            words=as_typed(given.get("q", "")),
        )

    @property
    def given(self) -> dict[str, str]:
        """The filters that are valid, as the query has them."""
        self.is_valid()
        known = ((name, self.cleaned_data.get(name)) for name in self.fields)
        return {name: self[name].data if name in {"since", "until"} else str(value) for name, value in known if value}
