"""The form for a new API token."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.forms.day import DayInput
from portal.models import Membership
from portal.models.api_token import NAME_LENGTH, Ceiling
from vpn.access import instances_of
from vpn.models import Instance

USUAL_DAYS: Final = 90
MOST_DAYS: Final = 365


class TokenForm(forms.Form):
    """Name, limits and last day of a token; the limits that a member's role leaves open are offered."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_LENGTH,
        help_text=gettext_lazy("What uses it, such as “Backup script”. The journal shows this name."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    ceiling = forms.ChoiceField(label=gettext_lazy("May"), widget=forms.RadioSelect, initial=Ceiling.READ)
    reach = forms.ChoiceField(
        label=gettext_lazy("For"),
        widget=forms.RadioSelect,
        initial="all",
        choices=[
            ("all", gettext_lazy("The whole organization")),
            ("some", gettext_lazy("Only the instances ticked below")),
        ],
    )
    instances = forms.ModelMultipleChoiceField(
        queryset=Instance.objects.none(),
        required=False,
        label=gettext_lazy("Instances"),
        widget=forms.CheckboxSelectMultiple,
    )
    last_day = forms.DateField(
        label=gettext_lazy("Last day"),
        help_text=format_lazy(gettext_lazy("At most {days} days from today."), days=MOST_DAYS),
        widget=DayInput(),
    )

    def __init__(self, *args: Any, member: Membership, **options: Any) -> None:
        super().__init__(*args, **options)
        offered = [(one.value, one.label) for one in Ceiling.offered_to(member)]
        self.fields["ceiling"].choices = offered  # type: ignore[attr-defined]
        if member.sees_everything:
            known = instances_of(member).select_related(None).only("name").order_by("name", "id")
            self.fields["instances"].queryset = known  # type: ignore[attr-defined]
        else:
            del self.fields["reach"], self.fields["instances"]
        today = timezone.localdate()
        self._latest = today + timedelta(days=MOST_DAYS)
        self.fields["last_day"].initial = today + timedelta(days=USUAL_DAYS)
        self.fields["last_day"].widget.attrs |= {"min": today.isoformat(), "max": self._latest.isoformat()}

    def clean(self) -> dict[str, Any]:
        """Check the limits together; `expires_at` is the end of the last day in the zone of the page."""
        cleaned = super().clean() or {}
        is_some = cleaned.get("reach") == "some"
        if is_some and "instances" in cleaned and not cleaned["instances"]:
            self.add_error("instances", _("Tick at least one instance."))
        last = cleaned.get("last_day")
        if last is not None and not timezone.localdate() <= last <= self._latest:
            self.add_error(
                "last_day", _("Choose a day from today to %(latest)s.") % {"latest": f"{self._latest:%-d %B %Y}"}
            )
        elif last is not None:
            cleaned["expires_at"] = datetime.combine(last, time.max, tzinfo=timezone.get_current_timezone())
        cleaned["limited_to"] = [one.pk for one in cleaned.get("instances") or ()] if is_some else None
        return cleaned
