"""Applying peers again when their members, groups or expiry change: a hub may have to admit or refuse them."""

from __future__ import annotations

from django.db.models import F, Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn.actions.activity import planning
from vpn.actions.change import Scope
from vpn.actions.peers.protocol_change import end_former_of_refused
from vpn.connections.acting import end_connections_of_refused
from vpn.desired.firewall import GroupChange
from vpn.models import Peer
from vpn.models.querysets import PeerQuerySet


def reconsider_peers(
    peers: PeerQuerySet, *, by: Principal, group_change: GroupChange | None = None, did: str = ""
) -> None:
    """Mark these peers as changed, so that their hubs apply them again: a member, expiry or group changed.

    With `group_change`, the activity notes who reaches whom because of it. `did` is what the journal says of each peer.
    """
    # Every action locks instances in this order, so that no two of them deadlock.
    for instance_id in list(peers.order_by("instance_id").values_list("instance_id", flat=True).distinct()):
        try:
            with planning.planned_change(
                instance_id,
                by=by,
                scope=Scope.PEERS,
                urgent=True,
                is_noted=group_change is not None,
                group_change=group_change,
            ) as locked:
                moving = peers.filter(instance=locked).exclude(former_protocol="")
                end_former_of_refused(moving.select_related("member__user"), locked, by=by)
                if did:
                    for peer in peers.filter(instance=locked).select_related("member__user", "site"):
                        peer.instance = locked
                        acted(by, did, peer)
                peers.filter(instance=locked).update(changed_generation=locked.desired_generation)
                if group_change is None:
                    end_connections_of_refused(locked.pk)
        except NotPossible:
            continue  # An instance that is being deleted needs no such change.


def expire_peers(*, by: Principal) -> None:
    """Let the hubs remove expired peers; skips those whose removal is being applied already."""
    now = timezone.now()
    on_hub = Peer.objects.exclude(applied_digest="").filter(changed_generation__lte=F("instance__applied_generation"))
    reconsider_peers(on_hub.filter(expires_at__lte=now), by=by, did="expired")
    lasting = Q(expires_at=None) | Q(expires_at__gt=now)
    reconsider_peers(on_hub.filter(lasting, unused_until__lte=now), by=by, did="ended unused")
