"""An organization's own settings, and how the portal's staff add one."""

from __future__ import annotations

from django import forms

from portal.models import Organization
from portal.validators import EMAIL_LENGTH, NAME_LENGTH


class OrganizationForm(forms.Form):
    """What an organization's admin may change."""

    name = forms.CharField(
        label="Name",
        max_length=NAME_LENGTH,
        help_text="What people see on every page, in mails and behind share links.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


class StaffOrganizationForm(forms.ModelForm[Organization]):
    """An organization as staff see it, with the admin who is invited where there is none."""

    admin_email = forms.EmailField(
        label="First admin's email",
        max_length=EMAIL_LENGTH,
        help_text="A link that lets them in is shown once, after saving. They add everybody else.",
    )
    admin_name = forms.CharField(label="First admin's name", max_length=NAME_LENGTH, required=False)

    class Meta:
        model = Organization
        fields = ("name", "slug")


class StaffOrganizationChangeForm(StaffOrganizationForm):
    """One that is there already: inviting its admin is an offer."""

    admin_email = forms.EmailField(
        label="Invite its admin",
        max_length=EMAIL_LENGTH,
        required=False,
        help_text="Nobody can sign in as an admin of this organization. A link that lets this one in is shown once.",
    )
