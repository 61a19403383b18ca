"""The form that invites many people: their lines, and what is meant where a line says nothing."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any, Final, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.exceptions import InvalidInput
from portal.figures import grouped
from portal.forms.day import DayInput
from portal.models import Group, Membership, Role
from vpn.access import instances_of
from vpn.actions.people.invitation_lines import MOST_CHARACTERS, ROLES, Defaults, checked_day
from vpn.choices import InstanceState
from vpn.models import Instance
from vpn.validators import validate_label_text

_MOST_BYTES: Final = 4 * MOST_CHARACTERS


class InviteForm(forms.Form):
    """Lines, pasted or of a file, with their defaults."""

    lines = forms.CharField(
        label=gettext_lazy("People"),
        required=False,
        max_length=MOST_CHARACTERS,
        help_text=gettext_lazy(
            "One per line: address, name, role, groups, expiry. Only the address is needed. "
            "Separate by commas, semicolons or tabs, and groups by |."
        ),
        widget=forms.Textarea(
            attrs={"rows": 8, "spellcheck": "false", "autocapitalize": "off", "class": "mono", "autocomplete": "off"}
        ),
    )
    file = forms.FileField(
        label=gettext_lazy("Or a CSV file"),
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,text/csv"}),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        choices=[(role.value, role.label) for role in ROLES],
        initial=Role.MEMBER,
        required=False,
    )
    groups = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Groups"), queryset=Group.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )
    expiry = forms.DateField(
        label=gettext_lazy("Last day of the invitation"),
        required=False,
        help_text=gettext_lazy("Who has not joined by then needs a new invitation. Empty: it has no end."),
        widget=DayInput(),
    )
    instance = forms.ModelChoiceField(
        label=gettext_lazy("Device on"),
        queryset=Instance.objects.none(),
        required=False,
        empty_label=gettext_lazy("No device yet"),
        help_text=gettext_lazy("Each gets a device there, whose profile waits for them under My VPN."),
    )
    device = forms.CharField(
        label=gettext_lazy("Name of the device"),
        required=False,
        validators=[validate_label_text],
        widget=forms.TextInput(attrs={"maxlength": 40, "autocomplete": "off"}),
    )
    # The digest of what the preview showed: what was not previewed is not invited.
    previewed = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, member: Membership, **options: Any) -> None:
        super().__init__(*args, **options)
        groups = Group.objects.filter(organization=member.organization_id).order_by("name")
        self.fields["groups"].queryset = groups  # type: ignore[attr-defined]
        usable = instances_of(member).exclude(state__in=[InstanceState.DELETING, InstanceState.LOST]).order_by("name")
        self.fields["instance"].queryset = usable  # type: ignore[attr-defined]

    def clean_expiry(self) -> date | None:
        """A day that is not over."""
        day: date | None = self.cleaned_data["expiry"]
        try:
            return None if day is None else checked_day(day)
        except InvalidInput as fault:
            raise forms.ValidationError(fault.errors["expiry"]) from None

    def clean_file(self) -> str:
        """The text of the file; "" without one."""
        file = self.cleaned_data.get("file")
        if not file:
            return ""
        if file.size > _MOST_BYTES:
            raise forms.ValidationError(
                _("The file has more than %(most_characters)s characters.")
                % {"most_characters": grouped(MOST_CHARACTERS)}
            )
        try:
            return str(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise forms.ValidationError(_("The file is no text in UTF-8. Save it as CSV with this encoding.")) from None

    @property
    def text(self) -> str:
        """All lines: the pasted ones, then those of the file."""
        parts = (self.cleaned_data.get("lines", ""), self.cleaned_data.get("file", ""))
        return "\n".join(part for part in parts if part)

    @property
    def defaults(self) -> Defaults:
        """What is meant where a line says nothing."""
        chosen = self.cleaned_data
        groups = tuple(sorted(group.pk for group in chosen["groups"]))
        return Defaults(chosen["role"] or Role.MEMBER, groups, chosen["expiry"], chosen["instance"] is not None)

    @property
    def digest(self) -> str:
        """What the preview is about, as a digest."""
        chosen = self.cleaned_data
        instance = str(chosen["instance"].pk) if chosen["instance"] else ""
        parts = [self.text.splitlines(), str(self.defaults), instance, chosen["device"]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def with_lines_of_file(self) -> None:
        """Show the lines of the file in the field, from where they are sent again."""
        shown = {"lines": self.text, "previewed": self.digest}
        sent = cast("QueryDict", self.data).copy()
        for name, value in shown.items():
            sent[name] = value
        self.data = sent
