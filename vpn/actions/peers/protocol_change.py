"""A peer's change of protocol: the previous credentials stay valid until it connects over the new one."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from uuid import UUID

from portal.exceptions import NotPossible
from portal.models import Principal
from vpn.actions.change import Scope, changing
from vpn.actions.peers import certificates
from vpn.choices import KeyCustody, Protocol
from vpn.models import Instance, Peer

# The peer's columns that are kept as its previous credentials.
FORMER = ("former_protocol", "former_public_key", "former_preshared_key_sealed")


def keep_former(peer: Peer, *, by: Principal) -> bool:
    """Keep the peer's keys as its previous credentials, if a device may use them; the caller saves the peer.

    A second change keeps nothing more: all credentials from before it end.
    """
    is_used = bool(peer.delivered_digest) or peer.key_custody == KeyCustody.DEVICE
    if peer.former_protocol or not is_used or not peer.is_admitted:
        return False
    peer.former_protocol = peer.protocol
    if peer.is_openvpn:
        certificates.keep_as_earlier(peer, by=by)
    else:
        peer.former_public_key, peer.former_preshared_key = peer.public_key, peer.preshared_key
    return True


def end_former(peer: Peer, instance: Instance, *, by: Principal) -> None:
    """End the peer's previous credentials, if it has any; the caller saves peer and instance."""
    if peer.former_protocol == Protocol.OPENVPN:
        certificates.revoke_earlier(peer, instance, by=by)
    peer.former_protocol = peer.former_public_key = peer.former_preshared_key = ""


def end_former_of_refused(peers: Iterable[Peer], instance: Instance, *, by: Principal) -> None:
    """End the previous credentials of those peers that are no longer admitted: they do not come back."""
    for peer in peers:
        peer.instance = instance
        if peer.former_protocol and not peer.is_admitted:
            end_former(peer, instance, by=by)
            peer.save(update_fields=FORMER)


def conclude_changes(instance_id: UUID, arrived: Collection[tuple[UUID, str]], *, by: Principal) -> None:
    """End the previous credentials of peers that connected over the new protocol.

    `arrived` has ids and public keys. Calling it twice is harmless. The hub has closed the old sessions already; this
    revokes the credentials that opened them.
    """
    if not arrived:
        return
    with (
        contextlib.suppress(NotPossible, Instance.DoesNotExist),
        changing(instance_id, by=by, scope=Scope.PEERS) as locked,
    ):
        for peer_id, public_key in arrived:
            # A peer whose keys were replaced meanwhile has not been seen with the new ones yet.
            found = locked.peers.filter(pk=peer_id, public_key=public_key).exclude(former_protocol="")
            for peer in found:
                end_former(peer, locked, by=by)
                peer.changed_generation = locked.desired_generation
                peer.save(update_fields=[*FORMER, "changed_generation"])
