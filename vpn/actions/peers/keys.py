"""A peer's keys and certificates: issuing, rotating, renewing and ending them."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Principal
from vpn import keys
from vpn.actions.change import Scope, changing, lock_changeable
from vpn.actions.peers import certificates
from vpn.actions.peers.protocol_change import end_former
from vpn.actions.peers.row import fresh_peer
from vpn.actions.peers.use import count_from_now
from vpn.choices import EndReason, KeyCustody
from vpn.connections.acting import end_connection
from vpn.desired.peers import PLACEHOLDER_KEY
from vpn.models import Instance, Peer, PeerObservation, ProfileLink
from vpn.validators import validate_wireguard_key


def give_keys(peer: Peer, instance: Instance, public_key: str = "") -> None:
    """Set new keys for the peer's protocol, or the `public_key` of a device that made its own for WireGuard.

    The caller holds the lock on the instance and saves both.
    """
    peer.key_custody = KeyCustody.DEVICE if public_key else KeyCustody.PORTAL
    peer.key_due_at = None
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


def refuse_used_key(public_key: str, instance: Instance) -> None:
    """Raise Conflict for a key that a peer of the locked instance has or had last, the hub itself, or its placeholder.

    An agent refuses a whole spec in which a key is there twice.
    """
    same_key = Q(public_key=public_key) | Q(former_public_key=public_key)
    if instance.peers.filter(same_key).exists() or public_key in {instance.public_key, PLACEHOLDER_KEY}:
        raise Conflict(_("Another peer of this instance uses this public key."), field="public_key", code="key-in-use")


def renew_keys(peer: Peer, instance: Instance, public_key: str = "", *, by: Principal) -> None:
    """Replace the peer's keys; its profile counts as undelivered, and its share links are deleted.

    With `public_key`, the device made its own pair. The caller saves both.
    """
    give_keys(peer, instance, public_key)
    end_connection(peer, EndReason.RENEWED)
    peer.delivered_digest, peer.delivered_at = "", None
    count_from_now(peer)
    ProfileLink.objects.filter(peer=peer).delete()
    acted(by, "keys replaced", peer)


def rotate_keys(peer: Peer, *, by: Principal) -> Peer:
    """Replace the peer's keys; the old ones end once the hub has applied that. The profile has to be fetched again.

    Raises NotPossible for a device that made its own key, and for a deleted peer.
    """
    if peer.key_custody == KeyCustody.DEVICE:
        raise NotPossible(
            _("This device made its own key, so the portal cannot renew it."),
            next_step=_("Renew it in the browser of the device."),
        )
    return _rotate(peer, "", by)


def take_own_key(peer: Peer, public_key: str, *, by: Principal) -> Peer:
    """Replace the peer's keys by the public key of a pair that its device made; the old ones end.

    A key that the peer has already, as its own, changes nothing: the browser asks again while the hub learns of it.
    Raises InvalidInput for what is no such key, Conflict for one in use, and NotPossible for a deleted peer, a router,
    or one over OpenVPN.
    """
    if peer.is_site or peer.is_openvpn:
        raise NotPossible(_("Only a device's key for WireGuard is made in a browser."))
    _refuse_malformed(public_key)
    with transaction.atomic():
        # Under the lock, as the browser may send it twice at once.
        present = fresh_peer(peer, lock_changeable(peer.instance_id))
        if present.key_custody == KeyCustody.DEVICE and present.public_key == public_key:
            return present
        return _rotate(present, public_key, by)


def take_router_key(peer: Peer, public_key: str, *, by: Principal) -> Peer:
    """The same for the key that a site's router made when it enrolled.

    Raises InvalidInput, Conflict, or NotPossible for a deleted peer or one over OpenVPN.
    """
    _refuse_malformed(public_key)
    if peer.is_openvpn:
        raise NotPossible(_("This peer changed to OpenVPN meanwhile."))
    return _rotate(peer, public_key, by)


def end_router_key(peer: Peer, *, by: Principal) -> Peer:
    """End the key that a site's router made: the portal makes another one. Raises NotPossible for a deleted peer."""
    return _rotate(peer, "", by)


def _refuse_malformed(public_key: str) -> None:
    try:
        validate_wireguard_key(public_key)
    except ValidationError as error:
        raise InvalidInput({"public_key": error.messages}) from None


def _rotate(peer: Peer, public_key: str, by: Principal) -> Peer:
    with changing(peer.instance_id, by=by, scope=Scope.PEERS, urgent=True) as locked:
        fresh = fresh_peer(peer, locked)
        if public_key:
            if fresh.is_openvpn:
                raise NotPossible(_("This peer changed to OpenVPN meanwhile."))
            refuse_used_key(public_key, locked)
        end_keys(fresh, locked, by=by)
        renew_keys(fresh, locked, public_key, by=by)
        fresh.changed_generation = locked.desired_generation
        fresh.save()
        acted(by, "keys rotated", fresh, details={"custody": fresh.key_custody})
    return fresh


def renew_peer(peer: Peer, *, by: Principal) -> None:
    """Issue a new certificate; the old one stays valid until it expires. The profile becomes outdated.

    Raises NotPossible for a peer that has left OpenVPN or was deleted.
    """
    with changing(peer.instance_id, by=by, scope=Scope.PEERS) as locked:
        fresh = fresh_peer(peer, locked)
        if not fresh.is_openvpn:
            raise NotPossible(_("This peer has no certificate."))
        former_key = fresh.public_key
        certificates.keep_as_earlier(fresh, by=by)
        certificates.issue_for_peer(fresh, locked)
        fresh.key_custody, fresh.key_due_at = KeyCustody.PORTAL, None
        fresh.save()
        acted(by, "certificate renewed", fresh)
        # The connection goes on with the old certificate, so what was observed of it still holds.
        PeerObservation.objects.filter(peer=fresh, public_key=former_key).update(public_key=fresh.public_key)
