"""What a page says of an OpenVPN session that is about to begin anew, to be pushed what changed."""

from __future__ import annotations

from math import ceil

from vpn.choices import PeerType
from vpn.constants import RENEWALS_PER_SECOND
from vpn.models import Peer
from vpn.models.querysets import seen_filter
from vpn.presenters.activity.plan_sentences import joined

# Seconds until the first session is ended, and until the last one is back.
_OVERHEAD = 20


def push_words(peer: Peer) -> str:
    """When the peer reconnects and what it reaches then, in a sentence; "" where it has everything."""
    if not peer.is_reconnecting:
        return ""
    sites = peer.instance.peers.admitted().filter(type=PeerType.SITE, changed_generation__gte=peer.seen.push_generation)
    names = [other.label for other in sites.exclude(pk=peer.pk).select_related("site").order_by("site__name")]
    reason = f"to reach {joined(names)}" if names else "to learn which networks and names changed"
    return f"Reconnects by itself within {_duration(peer)} {reason}. Until then it goes on with what it had."


def _duration(peer: Peer) -> str:
    on_server = Peer.objects.filter(instance__server=peer.instance.server_id)
    waiting = on_server.filter(seen_filter(connected_from__isnull=False, push_generation__isnull=False))
    minutes = ceil((waiting.count() / RENEWALS_PER_SECOND + _OVERHEAD) / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
