"""When a device ends and why, in a sentence."""

from __future__ import annotations

from datetime import datetime

from django.template.defaultfilters import date
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vpn.models import Peer


def end_words(peer: Peer) -> str:
    """When the hub ends a device or has ended it, by its date or its days without use; "" if it has no end."""
    end = peer.ends_at
    if end is not None and end <= timezone.now():
        words = {"day": _day(end), "days": _days(peer.unused_days or 0)}
        sentence = (
            _("Ended on %(day)s, after %(days)s without use.") if end == peer.unused_until else _("Ended on %(day)s.")
        )
        return sentence % words
    if peer.unused_until is None or peer.unused_days is None:
        return "" if peer.expires_at is None else _("Ends on %(day)s.") % {"day": _day(peer.expires_at)}
    if peer.expires_at is not None and peer.expires_at <= peer.unused_until:
        return _("Ends on %(day)s, used or not.") % {"day": _day(peer.expires_at)}
    words = {"day": _day(peer.unused_until), "days": _days(peer.unused_days)}
    sentence = _("Ends on %(day)s, after %(days)s without use. Using it before moves that day.") % words
    if peer.expires_at is None:
        return sentence
    return f"{sentence} {_('Ends on %(day)s in any case.') % {'day': _day(peer.expires_at)}}"


def is_unused(peer: Peer) -> bool:
    """Has a device ended since it was not used, and not by its date before?"""
    now = timezone.now()
    return (
        peer.unused_until is not None
        and peer.unused_until <= now
        and (peer.expires_at is None or peer.expires_at > now)
    )


def unused_words(peer: Peer) -> str:
    """Why a device that was not used has ended."""
    return _("It was not used for %(days)s.") % {"days": _days(peer.unused_days or 0)}


def _days(count: int) -> str:
    return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}


def _day(at: datetime) -> str:
    return str(date(timezone.localtime(at), _("j F Y, H:i T")))
