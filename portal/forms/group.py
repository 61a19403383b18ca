"""The form of the Groups pages; fields are named as in the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from portal.models import Membership, Organization
from portal.validators import GROUP_NAME_LENGTH


class Checklist(forms.CheckboxSelectMultiple):
    """Checkboxes that also accept a list of lines in one value, as all forms with lists do."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return the ticked values."""
        values = data.getlist(name) if isinstance(data, QueryDict) else data.get(name) or []
        return [line.strip() for value in values for line in str(value).splitlines() if line.strip()]


class GroupForm(forms.Form):
    """The name and the members of a group."""

    name = forms.CharField(
        label="Name",
        max_length=GROUP_NAME_LENGTH,
        help_text="Firewall rules refer to the group by this name, such as Sales.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    members = forms.MultipleChoiceField(
        label="Members",
        required=False,
        widget=Checklist,
        error_messages={"invalid_choice": "Choose members of this organization."},
    )

    def __init__(self, *args: Any, organization: Organization, **options: Any) -> None:
        super().__init__(*args, **options)
        everyone = Membership.objects.filter(organization=organization).select_related("user")
        self.fields["members"].choices = [  # type: ignore[attr-defined]
            (str(one.pk), f"{one.user.name} ({one.user.email})" if one.user.name else one.user.email)
            for one in everyone.order_by("user__name", "user__email")
        ]

    def clean_members(self) -> list[UUID]:
        """The members' ids."""
        try:
            return [UUID(key) for key in self.cleaned_data["members"]]
        except ValueError:
            raise ValidationError("Choose members of this organization.") from None
