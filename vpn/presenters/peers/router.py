"""What pages say of a site's router that enrols and follows by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from vpn.actions.sites.router import why_no_enrolment
from vpn.choices import KeyCustody
from vpn.models import Peer, Router
from vpn.routers.configuration import fingerprint_of

# A router that left out so many check-ins is offline.
_MISSED: Final = 5
_WHY_BACK: Final = {
    "no-handshake": gettext_lazy("The hub did not answer with the new configuration."),
    "not-applied": gettext_lazy("The router could not apply the new configuration; its log says why."),
}


@dataclass(frozen=True)
class RouterShown:
    """The router of a peer: a word with its tone, what to do, and the facts below. `row` is None before all that."""

    tone: str
    word: str
    advice: str
    row: Router | None
    wanted: str = ""
    # Reported subnets that the peer does not advertise yet.
    offered: tuple[str, ...] = ()
    open_until: datetime | None = None
    is_enrolled: bool = False
    may_enrol: bool = False
    may_try_again: bool = False


def router_of(peer: Peer) -> Router | None:
    """The row of the peer's router, if there is one; no query for peers of vpn.access.get_peer."""
    found: Router | None = getattr(peer, "router", None)
    return found


def router_shown(peer: Peer) -> RouterShown | None:
    """What the page of a peer says of its router; None for one that can neither enrol nor is enrolled."""
    row, reason = router_of(peer), why_no_enrolment(peer)
    if row is None or not row.is_enrolled:
        if reason:
            return None
        return _not_enrolled(peer, row)
    wanted = "" if peer.is_openvpn else fingerprint_of(peer)
    tone, word, advice = _state(peer, row, wanted, reason)
    return RouterShown(
        tone,
        word,
        advice,
        row,
        wanted=wanted[:12],
        offered=tuple(one for one in row.reported_subnets if one not in peer.subnets),
        open_until=_open_until(row),
        is_enrolled=True,
        may_enrol=not reason,
        may_try_again=bool(wanted) and row.refused == wanted,
    )


def _not_enrolled(peer: Peer, row: Router | None) -> RouterShown:
    if row is not None and row.ended_at is not None:
        word = _("Revoked")
        advice = _("Its tokens and its key ended. It takes its tunnel down at its next check-in.")
        return RouterShown("off", word, advice, row, open_until=_open_until(row), may_enrol=True)
    advice = _(
        "One line on the router sets up its tunnel, and it fetches every later change itself. A tunnel that was set up "
        "from a file ends then."
    )
    return RouterShown("off", _("Not enrolled"), advice, row, open_until=_open_until(row), may_enrol=True)


def _open_until(row: Router | None) -> datetime | None:
    if row is None or row.enrolment_digest is None or row.enrolment_ends_at is None:
        return None
    return row.enrolment_ends_at if row.enrolment_ends_at > timezone.now() else None


def _state(peer: Peer, row: Router, wanted: str, reason: str) -> tuple[str, str, str]:
    """Tone, word and advice for an enrolled router."""
    if reason:
        return "bad", _("Does not follow"), reason
    if peer.key_custody != KeyCustody.DEVICE:
        advice = _("The peer got another key since, so the router's own key ended. Enrol the router again.")
        return "bad", _("Does not follow"), advice
    if missed := missed_check_ins(row):
        words = ngettext("It missed %(count)s check-in.", "It missed %(count)s check-ins.", missed) % {"count": missed}
        advice = _("Look whether the router is on and reaches the portal; its tunnel goes on without the portal.")
        return "bad", _("Offline"), f"{words} {advice}"
    if row.refused and row.refused == wanted:
        why = _WHY_BACK.get(row.refused_why, "")
        advice = _(
            "It runs with its former configuration. Correct the change, or offer it once more when the cause is gone."
        )
        return "bad", _("Went back"), f"{why} {advice}".strip()
    if row.checked_in_at is None:
        return "waiting", _("Enrolled"), _("It has not checked in yet.")
    if row.applied == wanted:
        return "good", _("Up to date"), _by_hand(peer)
    return "waiting", _("Update under way"), _("The router fetches the change at its next check-in.")


def _by_hand(peer: Peer) -> str:
    """What an enrolled router does not set up by itself."""
    if not (peer.aliases or peer.is_exit or peer.instance.management_sources):
        return ""
    return _(
        "Its program does not touch the router's firewall: set up an alias subnet, an exit and access for management "
        "by hand, as “Show profile” says."
    )


def missed_check_ins(row: Router) -> int:
    """How many check-ins an enrolled router missed in a row; 0 while it is not offline."""
    last = row.checked_in_at or row.enrolled_at
    interval = timedelta(seconds=settings.ROUTER_CHECK_IN_SECONDS)
    missed = 0 if last is None else int((timezone.now() - last) / interval)
    return missed if missed >= _MISSED else 0
