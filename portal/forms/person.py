"""The forms of the People pages; fields are named as in the API."""

from __future__ import annotations

from django import forms

from portal.models import Role
from portal.validators import EMAIL_LENGTH, NAME_LENGTH

ROLES_HELP = "Admins manage everything, auditors read everything, members fetch their own profiles."


class PersonNewForm(forms.Form):
    """A person to invite."""

    email = forms.EmailField(
        label="Email",
        max_length=EMAIL_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    name = forms.CharField(label="Name", max_length=NAME_LENGTH, required=False)
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.MEMBER, help_text=ROLES_HELP)


class PersonForm(forms.Form):
    """The settings of a person."""

    name = forms.CharField(label="Name", max_length=NAME_LENGTH, required=False)
    role = forms.ChoiceField(label="Role", choices=Role.choices, help_text=ROLES_HELP)
    active = forms.TypedChoiceField(
        label="Access",
        choices=[("true", "Allowed"), ("false", "Deactivated")],
        coerce=lambda value: value == "true",
        help_text="Deactivating disconnects their devices and ends their share links and API tokens. It can be undone.",
    )
