"""Forms for an organization's settings, and for staff to add one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.exceptions import InvalidInput
from portal.figures import grouped
from portal.models import Organization, Quota
from portal.models.organization import DEFAULT_DEVICES, DEFAULT_KEY_MINUTES
from portal.models.quota import DEFAULT_LIMITS
from portal.quotas import quota_uses
from portal.validators import (
    EMAIL_LENGTH,
    LEAST_CONNECTION_DAYS,
    LEAST_JOURNAL_DAYS,
    LEAST_KEY_MINUTES,
    LEAST_UNUSED_DAYS,
    MOST_DEVICES,
    MOST_JOURNAL_DAYS,
    MOST_KEY_MINUTES,
    MOST_UNUSED_DAYS,
    NAME_LENGTH,
    clean_name,
    clean_organization_name,
)

# In the order of Quota.
LIMIT_FIELDS = tuple(f"most_{quota.value}" for quota in Quota)


class OrganizationForm(forms.Form):
    """The settings that an organization's admin may change."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_LENGTH,
        help_text=gettext_lazy("Shown on every page, in mails and on share link pages."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )

    second_factor_required = forms.BooleanField(
        label=gettext_lazy("Every member needs a second factor"),
        required=False,
        help_text=gettext_lazy(
            "Members without one are led to set it up first. Tunnels and API tokens are not affected."
        ),
    )
    custody_minutes = forms.IntegerField(
        label=gettext_lazy("Minutes for which a private key can be fetched"),
        required=False,
        min_value=LEAST_KEY_MINUTES,
        max_value=MOST_KEY_MINUTES,
        help_text=format_lazy(
            gettext_lazy(
                "Of a key that the portal made, from its first reveal on. Then it is destroyed for good, and only new "
                "keys give a profile again. Empty: {default}."
            ),
            default=DEFAULT_KEY_MINUTES,
        ),
    )
    devices_per_member = forms.IntegerField(
        label=gettext_lazy("Devices that a member may have and still add one"),
        required=False,
        min_value=0,
        max_value=MOST_DEVICES,
        help_text=gettext_lazy(
            "Members add devices only on instances whose settings allow it. What admins add is not limited."
        ),
    )
    unused_days = forms.IntegerField(
        label=gettext_lazy("Days without use after which a new device ends"),
        required=False,
        min_value=LEAST_UNUSED_DAYS,
        max_value=MOST_UNUSED_DAYS,
        help_text=gettext_lazy(
            "Its hub ends it by itself; renewing its key lets it connect again. Devices that are there keep what they "
            "have, and a site has only what is set on it. Empty: new devices have no such end."
        ),
    )
    reminders_off = forms.BooleanField(
        label=gettext_lazy("Send no reminders before a device or a site ends"),
        required=False,
        help_text=gettext_lazy(
            "Otherwise a mail goes out seven days before, and another one a day before: to the device's owner, or for "
            "a site to all admins."
        ),
    )
    journal_days = forms.IntegerField(
        label=gettext_lazy("Days for which the journal is kept"),
        required=False,
        min_value=LEAST_JOURNAL_DAYS,
        max_value=MOST_JOURNAL_DAYS,
    )

    connection_days = forms.IntegerField(
        label=gettext_lazy("Days for which connections are kept"),
        required=False,
        min_value=LEAST_CONNECTION_DAYS,
        max_value=MOST_JOURNAL_DAYS,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["devices_per_member"].help_text += _(" Empty: %(count)d.") % {"count": DEFAULT_DEVICES}
        for name, words in (
            (
                "journal_days",
                _("Older lines are removed for good. At least %(least_journal_days)s.")
                % {"least_journal_days": LEAST_JOURNAL_DAYS},
            ),
            ("connection_days", _("Who was connected when, and from where. Older ones are removed for good.")),
        ):
            self.fields[name].help_text = _("%(words)s Empty: %(days)s.") % {
                "words": words,
                "days": grouped(getattr(settings, name.upper())),
            }


class StaffOrganizationNameForm(forms.ModelForm[Organization]):
    """The organization form for staff."""

    class Meta:
        model = Organization
        fields = ("name", "slug", *LIMIT_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = Organization.objects.filter(pk=self.instance.pk).first()
        uses = {use.quota: use.used for use in quota_uses(there)} if there else {}
        for quota, field in zip(Quota, LIMIT_FIELDS, strict=True):
            default = _("Empty: %(default_limits)s, the default.") % {"default_limits": grouped(DEFAULT_LIMITS[quota])}
            self.fields[field].help_text = (
                _("%(default)s In use: %(uses)s.") % {"default": default, "uses": grouped(uses[quota])}
                if quota in uses
                else default
            )

    def clean_name(self) -> str:
        """Apply the same rules as for its admin: one line, no invisible characters."""
        return _beside_the_field(clean_organization_name, self.cleaned_data["name"])


class StaffOrganizationForm(StaffOrganizationNameForm):
    """The same, with fields to invite the first admin."""

    admin_email = forms.EmailField(
        label=gettext_lazy("First admin's email"),
        max_length=EMAIL_LENGTH,
        help_text=gettext_lazy("A sign-in link for them is shown once, after saving. They add all other members."),
    )
    admin_name = forms.CharField(label=gettext_lazy("First admin's name"), max_length=NAME_LENGTH, required=False)

    def clean_admin_name(self) -> str:
        """Validate here, before an organization without an admin is saved."""
        return _beside_the_field(clean_name, self.cleaned_data["admin_name"])


class StaffOrganizationChangeForm(StaffOrganizationForm):
    """For an existing organization: inviting an admin is optional."""

    admin_email = forms.EmailField(
        label=gettext_lazy("Invite its admin"),
        max_length=EMAIL_LENGTH,
        required=False,
        help_text=gettext_lazy(
            "This organization has no admin who can sign in. A sign-in link for this one is shown once."
        ),
    )


def _beside_the_field(clean: Callable[[str], str], text: str) -> str:
    try:
        return clean(text)
    except InvalidInput as refusal:
        raise ValidationError([message for messages in refusal.errors.values() for message in messages]) from None
