"""The fields that say when a peer ends."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy

from portal.validators import LEAST_UNUSED_DAYS, MOST_UNUSED_DAYS
from portal.web.zone import find_zone
from vpn.forms.fields import MomentField, ZoneField


class EndFields(forms.Form):
    """By a date, and after days without use; both may be empty."""

    expires_at = MomentField(
        label=gettext_lazy("Expires"),
        required=False,
        help_text=gettext_lazy("From then on the hub refuses the device. Empty: it has no end."),
    )
    unused_days = forms.IntegerField(
        label=gettext_lazy("Days without use after which it ends"),
        required=False,
        min_value=LEAST_UNUSED_DAYS,
        max_value=MOST_UNUSED_DAYS,
        help_text=gettext_lazy(
            "The hub ends it by itself, and a renewed key lets it connect again. Another number counts from now on. "
            "Empty: it has no such end."
        ),
    )
    # The time zone in which the field was shown; the browser may be in another one by now.
    expires_at_zone = ZoneField(of="id_expires_at")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        sent = str(self.data.get("expires_at_zone", "")) if self.is_bound else ""
        zone = find_zone(sent) or timezone.get_current_timezone()
        self.zone_name = str(zone)
        self.fields["expires_at"].zone = zone  # type: ignore[attr-defined]
        self.fields["expires_at_zone"].initial = self.zone_name

    def clean(self) -> dict[str, Any]:
        """Drops the time zone, which the field of the expiry has used."""
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned.pop("expires_at_zone", None)
        return cleaned
