"""Which names a change gives to others: what a preview notes beside who reaches whom."""

from __future__ import annotations

from collections.abc import Callable

from vpn.models.querysets import PeerQuerySet


def noting_names(notes: list[str], peers: PeerQuerySet, change: Callable[[], object]) -> Callable[[], None]:
    """As `change`, which also adds to `notes` which of these peers get another name in their hub's DNS."""

    def noted() -> None:
        before = _names(peers)
        change()
        after = _names(peers)
        notes.extend(
            f"{name} is answered no more; the name becomes {after[pk]}."
            for pk, name in before.items()
            if name and after.get(pk) not in {None, "", name}
        )

    return noted


def _names(peers: PeerQuerySet) -> dict[object, str]:
    rows = peers.select_related("instance", "member__user", "site").order_by("instance__name")
    return {peer.pk: peer.dns_name for peer in rows}
