"""What a page says of an OpenVPN session that is about to reconnect, so that new options are pushed to it."""

from __future__ import annotations

from math import ceil

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vpn.choices import PeerType
from vpn.constants import RENEWALS_PER_SECOND
from vpn.models import Peer
from vpn.models.querysets import seen_filter
from vpn.presenters.lists import shortened

# Seconds until the first session is closed, and until the last one has reconnected.
_OVERHEAD = 20


def push_words(peer: Peer) -> str:
    """When the peer reconnects and what it reaches then; "" if it has received every option."""
    if not peer.is_reconnecting:
        return ""
    sites = peer.instance.peers.admitted().filter(type=PeerType.SITE, changed_generation__gte=peer.seen.push_generation)
    names = [other.label for other in sites.exclude(pk=peer.pk).select_related("site").order_by("site__name")]
    if names:
        words = _("Reconnects by itself within %(duration)s to reach %(names)s. Until then it keeps what it had.")
        return words % {"duration": _duration(peer), "names": shortened(names)}
    words = _(
        "Reconnects by itself within %(duration)s to receive changed routes and names. Until then it keeps what it had."
    )
    return words % {"duration": _duration(peer)}


def _duration(peer: Peer) -> str:
    on_server = Peer.objects.filter(instance__server=peer.instance.server_id)
    waiting = on_server.filter(seen_filter(connected_from__isnull=False, push_generation__isnull=False))
    minutes = ceil((waiting.count() / RENEWALS_PER_SECOND + _OVERHEAD) / 60)
    return ngettext("a minute", "%(minutes)d minutes", minutes) % {"minutes": minutes}
