"""The forms of the People pages; fields are named as in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.models import Role
from portal.validators import EMAIL_LENGTH, MOST_DEVICES, NAME_LENGTH

ROLES_HELP = gettext_lazy(
    "Admins manage everything, auditors read everything, operators manage the peers of some instances, members fetch "
    "their own profiles."
)


class InstancesField(forms.MultipleChoiceField):
    """The instances whose peers an operator manages; of no meaning for other roles."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            label=_("Instances"),
            required=False,
            widget=forms.CheckboxSelectMultiple,
            help_text=_("Operators manage the peers of these instances, and nothing else."),
            **options,
        )


class RoleForm(forms.Form):
    """A role and, for operators, their instances."""

    role = forms.ChoiceField(
        label=gettext_lazy("Role"), choices=Role.choices, initial=Role.MEMBER, help_text=ROLES_HELP
    )
    instances = InstancesField()

    def __init__(self, *args: Any, known: Mapping[UUID, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["instances"].choices = [(str(pk), name) for pk, name in known.items()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Leaves the instances to operators, and has them as ids."""
        cleaned = super().clean() or {}
        is_operator = cleaned.get("role") == Role.OPERATOR
        cleaned["instances"] = [UUID(one) for one in cleaned.get("instances", ())] if is_operator else []
        return cleaned


class PersonNewForm(RoleForm):
    """A person to invite."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=EMAIL_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=NAME_LENGTH, required=False)


class PersonForm(RoleForm):
    """The settings of a person."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=NAME_LENGTH, required=False)
    most_devices = forms.IntegerField(
        label=gettext_lazy("Devices that they may have and still add one"),
        required=False,
        min_value=0,
        max_value=MOST_DEVICES,
        help_text=gettext_lazy("Empty: as many as the organization's settings say."),
    )
    active = forms.TypedChoiceField(
        label=gettext_lazy("Access"),
        choices=[("true", gettext_lazy("Allowed")), ("false", gettext_lazy("Deactivated"))],
        coerce=lambda value: value == "true",
        help_text=gettext_lazy(
            "Deactivating disconnects their devices and ends their share links and API tokens. It can be undone."
        ),
    )
