"""A peer's keys and certificates: issuing, rotating, renewing and ending them."""

from __future__ import annotations

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn import keys
from vpn.actions.change import Scope, changing
from vpn.actions.peers import certificates
from vpn.actions.peers.protocol_change import end_former
from vpn.actions.peers.row import fresh_peer
from vpn.choices import KeyCustody
from vpn.models import Instance, Peer, PeerObservation, ProfileLink


def give_keys(peer: Peer, instance: Instance, public_key: str = "") -> None:
    """Set new keys for the peer's protocol, or the `public_key` of a device that made its own for WireGuard.

    The caller holds the lock on the instance and saves both.
    """
    peer.key_custody = KeyCustody.DEVICE if public_key else KeyCustody.PORTAL
    if peer.is_openvpn:
        certificates.ensure_certificates(instance)
        certificates.issue_for_peer(peer, instance)
        return
    peer.certificate = peer.certificate_serial = peer.tls_crypt_key = ""
    peer.certificate_expires_at = peer.certificate_due_at = None
    peer.preshared_key = keys.generate_preshared_key()
    if public_key:
        peer.public_key, peer.private_key = public_key, ""
    else:
        private_key = keys.generate_private_key()
        peer.public_key, peer.private_key = keys.public_key(private_key), private_key


def end_keys(peer: Peer, instance: Instance, *, by: Principal) -> None:
    """End the peer's present keys and those of its former protocol; the caller saves both."""
    certificates.revoke(peer, instance, by=by)
    end_former(peer, instance, by=by)


def renew_keys(peer: Peer, instance: Instance, *, by: Principal) -> None:
    """Replace the peer's keys; its profile counts as undelivered, and its share links are deleted.

    The caller saves both.
    """
    give_keys(peer, instance)
    peer.delivered_digest, peer.delivered_at = "", None
    ProfileLink.objects.filter(peer=peer).delete()
    acted(by, "keys replaced", peer)


def rotate_keys(peer: Peer, *, by: Principal) -> Peer:
    """Replace the peer's keys; the old ones end once the hub has applied that. The profile has to be fetched again.

    Raises NotPossible for a device that made its own key, and for a deleted peer.
    """
    if peer.key_custody == KeyCustody.DEVICE:
        raise NotPossible(
            "This device made its own key, so the portal cannot renew it.",
            next_step="Delete the peer and add the device again with its new public key.",
        )
    with changing(peer.instance_id, by=by, scope=Scope.PEERS, urgent=True) as locked:
        fresh = fresh_peer(peer, locked)
        end_keys(fresh, locked, by=by)
        renew_keys(fresh, locked, by=by)
        fresh.changed_generation = locked.desired_generation
        fresh.save()
        acted(by, "keys rotated", fresh)
    return fresh


def renew_peer(peer: Peer, *, by: Principal) -> None:
    """Issue a new certificate; the old one stays valid until it expires. The profile becomes outdated.

    Raises NotPossible for a peer that has left OpenVPN or was deleted.
    """
    with changing(peer.instance_id, by=by, scope=Scope.PEERS) as locked:
        fresh = fresh_peer(peer, locked)
        if not fresh.is_openvpn:
            raise NotPossible("This peer has no certificate.")
        former_key = fresh.public_key
        certificates.keep_as_earlier(fresh, by=by)
        certificates.issue_for_peer(fresh, locked)
        fresh.save()
        acted(by, "certificate renewed", fresh)
        # The connection goes on with the old certificate, so what was observed of it still holds.
        PeerObservation.objects.filter(peer=fresh, public_key=former_key).update(public_key=fresh.public_key)
