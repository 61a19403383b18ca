"""The line on the Activity page for an apply: which settings, which rules, which peers."""

from __future__ import annotations

from collections.abc import Iterable

from vpn.actions.activity.change_words import MOST_NAMES, listed_names
from vpn.desired import Desired
from vpn.models import ChangePlan, Instance, Operation, Peer
from vpn.models.querysets import PeerQuerySet

_LENGTH: int = Operation._meta.get_field("summary").max_length or 200


def summary_of(instance: Instance, desired: Desired, plans: Iterable[ChangePlan]) -> str:
    """Return the line for the changes since the hub's last confirmation; `plans` are those of these changes."""
    settings = list(dict.fromkeys(words for plan in plans for words in plan.changed))
    if not settings and not desired.is_delta:
        settings = ["Settings and all peers"]
    elif not settings and instance.settings_generation > instance.applied_generation:
        # A delta contains no settings except the firewall's.
        settings = ["Firewall"]
    peers = _peers(instance, desired)
    nothing = "Revoked certificates" if "crl" in desired.document else "No change for the hub"
    for most in range(MOST_NAMES, -1, -1):
        parts = settings + [f"{_named(names, count, most)} {act}" for act, names, count in peers]
        line = "; ".join(parts) or nothing
        if len(line) <= _LENGTH:
            return line
    return f"{line[: _LENGTH - 1]}…"


def _peers(instance: Instance, desired: Desired) -> list[tuple[str, list[str], int]]:
    """Return what happened to peers, some of their names, and their number."""
    rows: PeerQuerySet = instance.peers.filter(
        changed_generation__gt=instance.applied_generation, changed_generation__lte=desired.generation
    )
    known, let_in = rows.exclude(applied_digest=""), rows.admitted()
    gone = instance.tombstones.exclude(applied_digest="").filter(generation__lte=desired.generation)
    found = [
        ("added", *_first(let_in.filter(applied_digest=""))),
        ("changed", *_first(let_in.exclude(applied_digest=""))),
        ("shut out", *_first(known.exclude(pk__in=let_in.values("pk")))),
        ("removed", [label for label in gone.values_list("label", flat=True)[:MOST_NAMES] if label], gone.count()),
    ]
    return [one for one in found if one[2]]


def _first(rows: PeerQuerySet) -> tuple[list[str], int]:
    first: list[Peer] = list(rows.select_related("member__user", "site")[:MOST_NAMES])
    return [peer.label for peer in first], rows.count() if len(first) == MOST_NAMES else len(first)


def _named(names: list[str], count: int, most: int) -> str:
    if names and most:
        return listed_names(names, count, most=most)
    return f"{count:,} peer{'' if count == 1 else 's'}"
