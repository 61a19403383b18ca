"""How pages show values: times, bytes, durations, states."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from html import escape
from typing import Any

from django import template
from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from portal.figures import decimal, grouped
from vpn.addressing.networks import merged
from vpn.choices import InstanceState
from vpn.models import Instance, Peer
from vpn.presenters.needs import Notice
from vpn.validators import parse_network

register = template.Library()
register.filter(grouped)

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZES = ((3600, "h"), (60, "min"), (1, "s"))
_NETWORKS_SHOWN = 3
_INSTANCE_CHIPS: dict[InstanceState, tuple[str, Promise]] = {
    InstanceState.PENDING: ("waiting", gettext_lazy("Waiting to start")),
    InstanceState.PROVISIONING: ("waiting", gettext_lazy("Provisioning")),
    InstanceState.FAILED: ("bad", gettext_lazy("Failed")),
    InstanceState.DELETING: ("waiting", gettext_lazy("Deleting")),
    InstanceState.LOST: ("bad", gettext_lazy("Lost")),
}


@register.simple_tag
def chip(kind: str, words: str | Promise) -> SafeString:
    """A state: a shape and a word. `kind` is good, waiting, bad or off."""
    return _chip(kind, str(words))


@lru_cache(maxsize=100)
def _chip(kind: str, words: str) -> SafeString:
    return format_html('<span class="chip chip--{}">{}</span>', kind, words)


@register.simple_tag
def instance_chip(instance: Instance, needs: Sequence[Notice]) -> SafeString:
    """An instance's state: "Ready" only if its server confirmed everything and no need contradicts."""
    if instance.state != InstanceState.READY:
        return chip(*_INSTANCE_CHIPS[InstanceState(instance.state)])
    for need in needs:
        if need.chip:
            return chip(need.tone, need.chip)
    return chip("good", _("Ready")) if instance.is_up_to_date else chip("waiting", _("Applying changes"))


@register.simple_tag
def peer_chip(peer: Peer) -> SafeString:
    """The state of the peer's connection."""
    return chip(*_peer_state(**_facts_of(peer)))


@register.simple_tag
def peer_dot(peer: Peer) -> SafeString:
    """A peer's state as a shape only, with the word for screen readers and on hover."""
    return state_dot(**_facts_of(peer))


def state_dot(
    *, enabled: bool, is_admitted: bool, member_state: str | None, is_connected: bool, was_seen: bool
) -> SafeString:
    """The same of a peer whose facts are known."""
    return _dot(
        *_peer_state(
            enabled=enabled,
            is_admitted=is_admitted,
            member_state=member_state,
            is_connected=is_connected,
            was_seen=was_seen,
        )
    )


def _facts_of(peer: Peer) -> dict[str, Any]:
    return {
        "enabled": peer.enabled,
        "is_admitted": peer.is_admitted,
        "member_state": None if peer.member is None else peer.member.state,
        "is_connected": peer.is_connected,
        "was_seen": peer.seen.last_handshake is not None,
    }


@lru_cache(maxsize=100)
def _dot(kind: str, words: str) -> SafeString:
    """A dot of one of the few states; a page has many."""
    return format_html(
        '<span class="dot dot--{}" title="{}"><span class="visually-hidden">{}</span></span>', kind, words, words
    )


def _peer_state(
    *, enabled: bool, is_admitted: bool, member_state: str | None, is_connected: bool, was_seen: bool
) -> tuple[str, str]:
    if not enabled:
        return "off", _("Disabled")
    if not is_admitted:
        return "off", _("Deactivated") if member_state == "deactivated" else _("Expired")
    if is_connected:
        return "good", _("Connected")
    return ("off", _("Offline")) if was_seen else ("waiting", _("Never connected"))


@register.simple_tag
def relative_time(moment: datetime | None, missing: str = "") -> SafeString | str:
    """A time as people say it ("2 min ago"), with the exact one on hover and in the markup.

    `missing` replaces a time that is not known: "never" unless given.
    """
    if moment is None:
        return missing or _("never")
    exact = timezone.localtime(moment)
    iso, title = exact.isoformat(timespec="seconds"), _exactly(exact)
    # A page may have hundreds: format_html takes three times as long.
    return SafeString(f'<time datetime="{iso}" title="{escape(title)}">{escape(_in_words(moment))}</time>')


def _exactly(at: datetime) -> str:
    # date_format takes five times as long.
    values = {"day": at.day, "month": MONTHS[at.month], "year": at.year, "time": f"{at:%H:%M:%S %Z}"}
    return _("%(day)d %(month)s %(year)d, %(time)s") % values


def _in_words(moment: datetime) -> str:
    seconds = int((timezone.now() - moment).total_seconds())
    if abs(seconds) < 1:
        return _("now")
    if abs(seconds) > 30 * 86400:
        return date_format(timezone.localtime(moment), _("j M Y"))
    if abs(seconds) >= 86400:
        days = abs(seconds) // 86400
        words = ngettext("%(count)d d", "%(count)d d", days) % {"count": days}
    else:
        size, unit = next((size, unit) for size, unit in _SIZES if abs(seconds) >= size)
        words = f"{abs(seconds) // size} {unit}"
    return (_("%(span)s ago") if seconds > 0 else _("in %(span)s")) % {"span": words}


@register.filter
def merged_networks(texts: Sequence[str]) -> list[str]:
    """Networks for display, with adjacent ones merged; files and forms keep them as they are."""
    if len(texts) < 2:
        return list(texts)
    return [str(network) for network in merged(map(parse_network, texts))]


@register.inclusion_tag("partials/networks.html")
def networks(texts: Sequence[str], missing: str = "") -> dict[str, object]:
    """Networks for display: adjacent ones are merged, and many are folded behind their count."""
    found = merged_networks(texts)
    return {"networks": found, "missing": missing or _("none"), "is_folded": len(found) > _NETWORKS_SHOWN}


@register.filter
def binary_bytes(count: int | None) -> str:
    """Bytes in binary units: 1536 is "1.5 KiB"."""
    value = float(count or 0)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    if unit == "B":
        return f"{int(value)} B"
    return f"{decimal(value)} {unit}" if value < 100 else f"{value:.0f} {unit}"


@register.filter
def duration(span: timedelta | float | None) -> str:
    """A duration rounded to what matters: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if span is None:
        return ""
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if seconds < 9.95:
        return f"{decimal(max(seconds, 0))} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, rest = divmod(whole // 60, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
