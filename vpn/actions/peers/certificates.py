"""The instance's own certificate authority: issuing, renewing, revoking. The caller holds the instance's lock."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db.models import Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
from vpn import pki
from vpn.models import EarlierCertificate, Instance, Peer, RevokedCertificate

# Former servers' addresses in the hub's certificate.
# The list is valid as long as the authority. Signing it regularly shows that signing still works.
_MOST_EARLIER = 4
_REVOCATION_LIST_AGE = timedelta(days=30)
# Margin for a server's clock that is behind: a certificate expired here may still be valid there.
CLOCK_SKEW = timedelta(days=2)


def ensure_certificates(instance: Instance) -> bool:
    """Issue what the instance lacks; True if anything was missing.

    That is: authority, hub certificate, tls-crypt-v2 key, revocation list. The caller holds the lock and saves the
    instance.
    """
    if instance.has_certificates:
        return False
    now = timezone.now()
    authority = pki.create_authority(f"{instance.hostname} VPN authority", now)
    instance.authority_certificate, instance.authority_key = authority.certificate, authority.private_key
    _issue_server(instance, now)
    instance.tls_crypt_key = pki.tls_crypt_v2_server_key()
    renew_revocation_list(instance)
    instance.certificates_due_at = hub_due_at(instance)
    return True


def authority_of(instance: Instance) -> pki.Credential:
    """The instance's authority, with its key."""
    return pki.load(instance.authority_certificate, instance.authority_key)


def _issue_server(instance: Instance, now: datetime) -> None:
    # RouterOS compares the certificate with the address or name that it connects to.
    server = pki.issue_server(authority_of(instance), instance.hub, now, hosts=hosts_of(instance))
    instance.server_certificate, instance.server_key = server.certificate, server.private_key
    instance.certificate_hosts = shown_hosts(instance)


def issue_hub(instance: Instance) -> None:
    """Issue the hub's certificate again, for its present name and addresses; the caller saves what it needs of it."""
    _issue_server(instance, timezone.now())


def hosts_of(instance: Instance) -> list[str]:
    """The hub's name, and the addresses that routers connect to, if known; also those of former servers."""
    addresses = instance.server.addresses if instance.server is not None else ()
    return [instance.full_hostname, *addresses[:1], *instance.earlier_addresses[:_MOST_EARLIER]]


def shown_hosts(instance: Instance) -> str:
    """What the hub's certificate should name, in one text."""
    return " ".join(hosts_of(instance))


def renew_revocation_list(instance: Instance) -> None:
    """Sign the revocation list again, without expired certificates (RFC 5280, section 3.3).

    The caller saves the instance.
    """
    now = timezone.now()
    good = instance.revoked_certificates.filter(Q(expires_at=None) | Q(expires_at__gt=now - CLOCK_SKEW))
    revoked = [pki.Revoked(int(serial, 16), at) for serial, at in good.values_list("serial", "revoked_at")]
    instance.revocation_number += 1
    instance.revocation_list = pki.revocation_list(authority_of(instance), revoked, instance.revocation_number, now)


def issue_for_peer(peer: Peer, instance: Instance) -> None:
    """Give a peer a new certificate, key and tls-crypt-v2 key; the caller saves the peer."""
    credential = pki.issue_client(authority_of(instance), str(peer.pk), timezone.now())
    peer.certificate, peer.private_key = credential.certificate, credential.private_key
    peer.certificate_serial = f"{credential.serial:x}"
    peer.certificate_expires_at = credential.not_after
    peer.certificate_due_at = pki.renewal_at(credential.not_after, pki.validity(credential.certificate)[0])
    peer.tls_crypt_key = pki.tls_crypt_v2_client_key(instance.tls_crypt_key)
    peer.public_key, peer.preshared_key = _fingerprint(credential.certificate), ""


def keep_as_earlier(peer: Peer, *, by: Principal) -> None:
    """Store the peer's certificate, if any, as an earlier one that stays valid after a new one is issued."""
    if peer.certificate_serial:
        _, not_after = pki.validity(peer.certificate)
        EarlierCertificate.objects.get_or_create(
            peer=peer, serial=peer.certificate_serial, defaults={"expires_at": not_after}
        )
        acted(by, "certificate kept", peer)


def revoke(peer: Peer, instance: Instance, *, by: Principal) -> None:
    """Put all certificates of the peer on the revocation list; the caller saves the instance."""
    keep_as_earlier(peer, by=by)
    revoke_earlier(peer, instance, by=by)


def revoke_earlier(peer: Peer, instance: Instance, *, by: Principal) -> None:
    """Put the certificates that the peer had before on the revocation list; the caller saves the instance."""
    earlier = list(peer.earlier_certificates.values_list("serial", "expires_at"))
    for serial, expires_at in earlier:
        RevokedCertificate.objects.get_or_create(
            instance=instance, serial=serial, defaults={"revoked_at": timezone.now(), "expires_at": expires_at}
        )
    if earlier:
        peer.earlier_certificates.all().delete()
        acted(by, "certificates revoked", peer)
        renew_revocation_list(instance)


def hub_due_at(instance: Instance) -> datetime:
    """When the hub's certificate or revocation list has to be renewed, whichever is first."""
    return min(_server_due_at(instance), _list_due_at(instance))


def renew_hub(instance: Instance) -> bool:
    """Renew what is due of the hub's certificate and revocation list; False if nothing. The caller saves the instance.

    A certificate that names other hosts than the hub's is due, too.
    """
    now = timezone.now()
    renewed = False
    if not instance.certificate_hosts:
        instance.certificate_hosts = _named_hosts(instance.server_certificate)
    if _server_due_at(instance) <= now or instance.certificate_hosts != shown_hosts(instance):
        _issue_server(instance, now)
        renewed = True
    if _list_due_at(instance) <= now:
        renew_revocation_list(instance)
        renewed = True
    instance.certificates_due_at = hub_due_at(instance)
    return renewed


def _named_hosts(certificate: str) -> str:
    """The names and then the addresses in a hub's certificate, which rows of earlier releases do not tell."""
    extensions = x509.load_pem_x509_certificate(certificate.encode()).extensions
    try:
        named = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    addresses = named.get_values_for_type(x509.IPAddress)
    return " ".join([*named.get_values_for_type(x509.DNSName), *map(str, addresses)])


def _server_due_at(instance: Instance) -> datetime:
    not_before, not_after = pki.validity(instance.server_certificate)
    return pki.renewal_at(not_after, not_before)


def _list_due_at(instance: Instance) -> datetime:
    return x509.load_pem_x509_crl(instance.revocation_list.encode()).last_update_utc + _REVOCATION_LIST_AGE


def _fingerprint(certificate: str) -> str:
    """SHA-256 of the certificate's public key, in base64: as long and as unique as a WireGuard key."""
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    digest = Hash(SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.finalize()).decode()
