"""What happens to people matters to tunnels: raise the generations inside the transaction that changed them."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from portal.models import Membership
from portal.signals import membership_changed, membership_removing
from vpn.actions.peer import delete_peer, reconsider_peers
from vpn.exceptions import NotPossible
from vpn.models import Peer


@receiver(membership_changed)
def follow_membership(membership: Membership, **kwargs: Any) -> None:
    """Let the hubs admit or refuse the devices of a member who was activated or deactivated."""
    reconsider_peers(Peer.objects.filter(member=membership))


@receiver(membership_removing)
def remove_devices(membership: Membership, **kwargs: Any) -> None:
    """Delete the devices of a member who leaves."""
    for peer in Peer.objects.filter(member=membership).select_related("instance"):
        try:
            delete_peer(peer)
        except NotPossible:
            peer.delete()  # Its instance is going away, and the peer with it.
