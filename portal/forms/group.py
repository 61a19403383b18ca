"""The form of the Groups pages; fields are named as in the API."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.forms.searched import MOST_OPTIONS, SearchableBoundField, SearchingForm
from portal.models import Membership, Organization
from portal.validators import GROUP_NAME_LENGTH


class Checklist(forms.CheckboxSelectMultiple):
    """Checkboxes that also accept a list of lines in one value, as all forms with lists do."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return the ticked values."""
        values = data.getlist(name) if isinstance(data, QueryDict) else data.get(name) or []
        return [line.strip() for value in values for line in str(value).splitlines() if line.strip()]


class Box(NamedTuple):
    """One checkbox."""

    value: str
    label: str
    is_ticked: bool


class MembersBoundField(SearchableBoundField):
    """The members as checkboxes: all if they are few.

    Of many, the first of those that are ticked and of the others, as far as they match the typed text.
    """

    template = "portal/group_members.html"

    @property
    def target(self) -> str:
        """The id of the element that holds the checkboxes."""
        return "members"

    @cached_property
    def boxes(self) -> list[Box]:
        """The shown checkboxes."""
        if not self.is_long:
            return self._boxes(self._rows)
        ticked = self._matches.filter(pk__in=self._ticked)[:MOST_OPTIONS]
        others = self._matches.exclude(pk__in=self._ticked)[:MOST_OPTIONS]
        return self._boxes(ticked) + self._boxes(others)

    @property
    def unseen(self) -> str:
        """The ids of those that are ticked and not shown, one a line."""
        return "\n".join(sorted(map(str, self._ticked - {UUID(box.value) for box in self.boxes})))

    @property
    def ticked_total(self) -> int:
        """How many are ticked."""
        return len(self._ticked)

    @cached_property
    def _ticked(self) -> set[UUID]:
        """The ticked members of this organization."""
        return set(self._rows.filter(pk__in=ids_in(self.value() or [])).values_list("pk", flat=True))

    def _boxes(self, rows: QuerySet[Membership]) -> list[Box]:
        columns = rows.values_list("pk", "user__name", "user__email")
        return [Box(str(pk), f"{name} ({email})" if name else email, pk in self._ticked) for pk, name, email in columns]


class MembersField(forms.Field):
    """Any number of the organization's members; gives their ids."""

    widget = Checklist
    searched = ("user__name", "user__email")
    nouns = "members"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.queryset: QuerySet[Membership] = Membership.objects.none()

    def get_bound_field(self, form: Any, field_name: str) -> MembersBoundField:
        """The field in a form."""
        return MembersBoundField(form, self, field_name)

    def clean(self, value: list[str]) -> list[UUID]:
        """The ids. Raises ValidationError if one is no member's."""
        asked = ids_in(value)
        if len(asked) < len(set(value)) or self.queryset.filter(pk__in=asked).count() < len(asked):
            raise ValidationError(_("Choose members of this organization."))
        return sorted(asked)


class GroupForm(SearchingForm):
    """The name and the members of a group."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=GROUP_NAME_LENGTH,
        help_text=gettext_lazy("Firewall rules refer to the group by this name, such as Sales."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    members = MembersField(label=gettext_lazy("Members"), required=False)
    provisioned = forms.BooleanField(
        label=_("A directory may change it by SCIM"),
        required=False,
        help_text=_(
            "The directory then sets its name and members, and may delete it. Changes here stay until it does."
        ),
    )

    def __init__(self, *args: Any, organization: Organization, has_directory: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        if not has_directory:
            del self.fields["provisioned"]
        everyone = Membership.objects.filter(organization=organization).order_by("user__name", "user__email")
        self.fields["members"].queryset = everyone  # type: ignore[attr-defined]


def ids_in(texts: list[str]) -> set[UUID]:
    """The ids among these texts."""
    found: set[UUID] = set()
    for text in texts:
        try:
            found.add(UUID(text))
        except ValueError:
            continue
    return found
