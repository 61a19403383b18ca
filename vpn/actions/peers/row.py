"""A peer's row, read anew under the lock on its instance."""

from __future__ import annotations

from django.utils.translation import gettext as _

from portal.exceptions import NotPossible
from vpn.models import Instance, Peer


def fresh_peer(peer: Peer, locked: Instance) -> Peer:
    """The peer's row as it is under the lock; raises NotPossible if it was deleted."""
    fresh = (
        Peer.objects.select_related("member__user", "site", "observation").filter(pk=peer.pk, instance=locked).first()
    )
    if fresh is None:
        raise NotPossible(_("This peer was deleted meanwhile."))
    fresh.instance = locked
    return fresh
