"""The line on the Activity page for an apply: which settings, which rules, which peers."""

from __future__ import annotations

from collections.abc import Iterable

from portal.told import MOST_NAMES, Told, told, told_names
from vpn.desired import Desired
from vpn.models import ChangePlan, Instance, Peer
from vpn.models.operation import SUMMARY_LENGTH, listed_parts
from vpn.models.querysets import PeerQuerySet


def summary_of(instance: Instance, desired: Desired, plans: Iterable[ChangePlan]) -> list[Told]:
    """Return the line for the changes since the hub's last confirmation; `plans` are those of these changes."""
    settings: list[Told] = []
    for words in (words for plan in plans for words in plan.changed):
        if words not in settings:
            settings.append(words)
    if not settings and not desired.is_delta:
        settings = [told("everything")]
    elif not settings and instance.settings_generation > instance.applied_generation:
        # A delta contains no settings except the firewall's.
        settings = [told("firewall")]
    peers = _peers(instance, desired)
    nothing = told("revocations" if "crl" in desired.document else "no-change")
    for most in range(MOST_NAMES, -1, -1):
        parts = settings + [_named(code, names, count, most) for code, names, count in peers] or [nothing]
        if len(listed_parts(parts)) <= SUMMARY_LENGTH:
            break
    return parts


def _peers(instance: Instance, desired: Desired) -> list[tuple[str, list[str], int]]:
    """Return what happened to peers, some of their names, and their number."""
    rows: PeerQuerySet = instance.peers.filter(
        changed_generation__gt=instance.applied_generation, changed_generation__lte=desired.generation
    )
    known, let_in = rows.exclude(applied_digest=""), rows.admitted()
    gone = instance.tombstones.exclude(applied_digest="").filter(generation__lte=desired.generation)
    found = [
        ("peers-added", *_first(let_in.filter(applied_digest=""))),
        ("peers-changed", *_first(let_in.exclude(applied_digest=""))),
        ("peers-shut-out", *_first(known.exclude(pk__in=let_in.values("pk")))),
        (
            "peers-removed",
            [label for label in gone.values_list("label", flat=True)[:MOST_NAMES] if label],
            gone.count(),
        ),
    ]
    return [one for one in found if one[2]]


def _first(rows: PeerQuerySet) -> tuple[list[str], int]:
    first: list[Peer] = list(rows.select_related("member__user", "site")[:MOST_NAMES])
    return [peer.label for peer in first], rows.count() if len(first) == MOST_NAMES else len(first)


def _named(code: str, names: list[str], count: int, most: int) -> Told:
    if names and most:
        return told_names(code, names, count, most=most)
    return told(code, names=told("peers", count=count))
