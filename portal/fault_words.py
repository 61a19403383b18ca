"""The words of what rows keep about mail: why it was not sent (portal.told)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.told import Words, in_words


def _given_up(kept: Mapping[str, Any]) -> str:
    return f"{in_words(kept['why'])} {_('Mail another one, or ask the operator of this portal.')}"


def _is_deactivated(kept: Mapping[str, Any]) -> str:
    sentence = _("%(membership)s is deactivated.") % {"membership": kept["membership"]}
    return f"{sentence} {_('Activate them first.')}"


def _invitation_is_over(kept: Mapping[str, Any]) -> str:
    sentence = _("The invitation of %(membership)s has ended.") % {"membership": kept["membership"]}
    return f"{sentence} {_('Remove them, then invite them again.')}"


def _has_own_password(kept: Mapping[str, Any]) -> str:
    sentence = _("%(membership)s signs in with a password of their own.") % {"membership": kept["membership"]}
    advice = _("Their account is also used outside this organization, so its password cannot be set from here.")
    return f"{sentence} {advice}"


FAULTS: Final[dict[str, Words]] = {
    "mail-not-taken": gettext_lazy("The mail server did not take it."),
    "mail-failed": gettext_lazy("The mail server did not take it (%(error)s)."),
    "mail-retried": gettext_lazy(
        "The mail server did not take it (%(error)s). It is tried again every minute, for an hour."
    ),
    "mail-slow": gettext_lazy("The mail server did not take it: it kept the portal waiting for too long."),
    "mail-refused": gettext_lazy(
        "The mail server did not take it (%(answer)s). Check the address, then mail another one."
    ),
    "mail-given-up": _given_up,
    "mail-too-many": gettext_lazy("This address was sent many links in the last hour. Send another one in an hour."),
    "mail-device-removed": gettext_lazy("The device was removed meanwhile."),
    "mail-no-end": gettext_lazy("The peer has no end to remind of any more."),
    "mail-link-ended": gettext_lazy("The link has ended meanwhile."),
    "mail-cancelled": gettext_lazy("The operator of this portal cancelled it."),
    "link-deactivated": _is_deactivated,
    "link-invitation-over": _invitation_is_over,
    "link-own-password": _has_own_password,
}
