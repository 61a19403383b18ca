"""Peers that a change renames in DNS, as notes of a preview."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _

from vpn.models.querysets import PeerQuerySet


def noting_names(notes: list[str], peers: PeerQuerySet, change: Callable[[], object]) -> Callable[[], None]:
    """Wrap `change`, so that it also adds to `notes` which of these peers get another name in their hub's DNS."""

    words = _("%(before)s is no longer answered; the name becomes %(after)s.")

    def noted() -> None:
        before = _names(peers)
        change()
        after = _names(peers)
        notes.extend(
            words % {"before": name, "after": after[pk]}
            for pk, name in before.items()
            if name and after.get(pk) not in {None, "", name}
        )

    return noted


def _names(peers: PeerQuerySet) -> dict[object, str]:
    rows = peers.select_related("instance", "member__user", "site").order_by("instance__name")
    return {peer.pk: peer.dns_name for peer in rows}
