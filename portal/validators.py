"""Validation of names, addresses and roles, for pages and API alike."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from portal.exceptions import InvalidInput
from portal.figures import grouped
from portal.models import Role
from portal.models.api_token import NAME_LENGTH as TOKEN_NAME_LENGTH

NAME_LENGTH = 60
EMAIL_LENGTH = 254
GROUP_NAME_LENGTH = 40
LEAST_JOURNAL_DAYS = 30
MOST_JOURNAL_DAYS = 36_500
# Not shorter than a share link shows its profile to the browser that opened it; not longer than a week.
LEAST_KEY_MINUTES = 15
MOST_KEY_MINUTES = 7 * 24 * 60
LEAST_UNUSED_DAYS = 1
MOST_UNUSED_DAYS = 3650
LEAST_CONNECTION_DAYS = 1
MOST_DEVICES = 100


def clean_email(email: str) -> str:
    """Return the address trimmed and in lower case. Raises InvalidInput."""
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput.in_field("email", _("Enter an email address such as anna@example.org.")) from None
    if len(address) > EMAIL_LENGTH:
        raise InvalidInput.in_field(
            "email", _("An email address has at most %(email_length)s characters.") % {"email_length": EMAIL_LENGTH}
        )
    return address


def clean_name(name: str) -> str:
    """Return a person's name, which is one line. Raises InvalidInput."""
    text = name.strip()
    if not text.isprintable():
        raise InvalidInput.in_field("name", _("A name is one line of text, without control characters."))
    if len(text) > NAME_LENGTH:
        raise InvalidInput.in_field(
            "name", _("A name has at most %(name_length)s characters.") % {"name_length": NAME_LENGTH}
        )
    return text


def clean_organization_name(name: str) -> str:
    """Return an organization's name, which is one line. Raises InvalidInput."""
    text = clean_name(name)
    if not text:
        raise InvalidInput.in_field(
            "name", _("Enter a name of at most %(name_length)s characters.") % {"name_length": NAME_LENGTH}
        )
    return text


def clean_custody_minutes(minutes: int | None) -> int | None:
    """The minutes for which private keys can be fetched; None means the default. Raises InvalidInput."""
    if minutes is not None and not LEAST_KEY_MINUTES <= minutes <= MOST_KEY_MINUTES:
        message = _("Choose %(least_key_minutes)s to %(most_key_minutes)s minutes, or nothing for the default.") % {
            "least_key_minutes": LEAST_KEY_MINUTES,
            "most_key_minutes": grouped(MOST_KEY_MINUTES),
        }
        raise InvalidInput.in_field("custody_minutes", message)
    return minutes


def clean_device_limit(devices: int | None, field: str) -> int | None:
    """How many devices a member may have and still add one; None means the default. Raises InvalidInput."""
    if devices is not None and not 0 <= devices <= MOST_DEVICES:
        raise InvalidInput.in_field(
            field, _("Choose 0 to %(most)d, or nothing for the default.") % {"most": MOST_DEVICES}
        )
    return devices


def clean_unused_days(days: int | None) -> int | None:
    """After how many days without use new devices end; None means never. Raises InvalidInput."""
    if days is not None and not LEAST_UNUSED_DAYS <= days <= MOST_UNUSED_DAYS:
        message = _("Choose %(least)s to %(most)s days, or nothing for no end.") % {
            "least": LEAST_UNUSED_DAYS,
            "most": grouped(MOST_UNUSED_DAYS),
        }
        raise InvalidInput.in_field("unused_days", message)
    return days


def clean_journal_days(days: int | None) -> int | None:
    """Return for how many days a journal is kept; None means the portal's default. Raises InvalidInput."""
    if days is not None and not LEAST_JOURNAL_DAYS <= days <= MOST_JOURNAL_DAYS:
        raise InvalidInput.in_field(
            "journal_days",
            _("Choose %(least_journal_days)s to %(most_journal_days)s days, or nothing for the default.")
            % {"least_journal_days": LEAST_JOURNAL_DAYS, "most_journal_days": grouped(MOST_JOURNAL_DAYS)},
        )
    return days


def clean_connection_days(days: int | None) -> int | None:
    """Return for how many days connections are kept; None means the portal's default. Raises InvalidInput."""
    if days is not None and not LEAST_CONNECTION_DAYS <= days <= MOST_JOURNAL_DAYS:
        raise InvalidInput.in_field(
            "connection_days",
            _("Choose %(least_connection_days)s to %(most_journal_days)s days, or nothing for the default.")
            % {"least_connection_days": LEAST_CONNECTION_DAYS, "most_journal_days": grouped(MOST_JOURNAL_DAYS)},
        )
    return days


def clean_group_name(name: str) -> str:
    """Return a group's name, which is one line. Raises InvalidInput."""
    text = name.strip()
    if not text.isprintable():
        raise InvalidInput.in_field("name", _("A name is one line of text, without control characters."))
    if not 1 <= len(text) <= GROUP_NAME_LENGTH:
        raise InvalidInput.in_field(
            "name",
            _("Enter a name of at most %(group_name_length)s characters.") % {"group_name_length": GROUP_NAME_LENGTH},
        )
    return text


def clean_token_name(name: str) -> str:
    """Return an API token's name, which is one line and may be empty. Raises InvalidInput."""
    text = name.strip()
    if not text.isprintable() or len(text) > TOKEN_NAME_LENGTH:
        raise InvalidInput.in_field(
            "name",
            _("A name is one line of at most %(token_name_length)s characters.")
            % {"token_name_length": TOKEN_NAME_LENGTH},
        )
    return text


def clean_role(role: str) -> Role:
    """Return the role. Raises InvalidInput."""
    try:
        return Role(role)
    except ValueError:
        raise InvalidInput.in_field("role", _("Choose one of %(role)s.") % {"role": ", ".join(Role.values)}) from None
