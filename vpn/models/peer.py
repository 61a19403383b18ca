"""A site's router or a user's device, connected to one instance."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from portal.models import Membership
from portal.sealing import Sealed
from vpn.addressing.aliases import Alias, aliases_among
from vpn.choices import KeyCustody, PeerType, Protocol, RevisedSection
from vpn.models.connection import ends_at, has_tunnel, is_admitted
from vpn.models.instance import Instance
from vpn.models.observation.peer import PeerObservation
from vpn.models.querysets import OVER_OPENVPN, PeerQuerySet
from vpn.models.revised import about_to_write, is_recording
from vpn.models.site import Site
from vpn.platforms.capabilities import needs_compat


class Peer(models.Model):
    """One end of one tunnel, as an admin configured it. What its hub reports about it is in PeerObservation.

    `applied_digest` is written with the instance's confirmation, in one transaction: the next delta is computed from
    it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="peers")
    type = models.CharField(max_length=6, choices=PeerType.choices)
    protocol = models.CharField(max_length=10, choices=Protocol.choices, default=Protocol.WIREGUARD)
    member = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="peers", null=True, blank=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="peers", null=True, blank=True)
    device = models.CharField(max_length=40, blank=True)
    subnets = models.JSONField(default=list, blank=True)
    confirm_broad_routes = models.BooleanField(default=False)
    route_all = models.BooleanField(default=False)
    # Of a site: does its router pass on the internet traffic of chosen clients? Null: it never did, so its files have
    # nothing to take back. Of such a client: the site; null is the hub.
    is_exit = models.BooleanField(null=True, blank=True)
    exit_site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="exit_users", null=True, blank=True)
    enabled = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    # When its device was reported as lost; null again once the peer is enabled.
    lost_at = models.DateTimeField(null=True, blank=True)
    # After so many days without use the hub ends it, too: that end, and from when it counts (vpn.actions.peers.use).
    unused_days = models.PositiveSmallIntegerField(null=True, blank=True)
    unused_until = models.DateTimeField(null=True, blank=True)
    use_counted_at = models.DateTimeField(null=True, blank=True)
    # Of which end its owner was reminded last, and how many days before (vpn.actions.peers.reminder).
    reminded_for = models.DateTimeField(null=True, blank=True)
    reminded_days = models.PositiveSmallIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # The peer's number in both pools (addressing.pools.host_addresses): one constraint keeps both addresses unique.
    host = models.PositiveIntegerField()
    # WireGuard's public key, or for OpenVPN the SHA-256 of the certificate's, both in base64.
    public_key = models.CharField(max_length=44)
    private_key_sealed = models.TextField(blank=True)
    preshared_key_sealed = models.TextField(blank=True)
    # OpenVPN: the peer's certificate (PEM), its serial number (hexadecimal), and its own tls-crypt-v2 key.
    certificate = models.TextField(blank=True)
    certificate_serial = models.CharField(max_length=40, blank=True)
    certificate_expires_at = models.DateTimeField(null=True, blank=True)
    certificate_due_at = models.DateTimeField(null=True, blank=True)
    tls_crypt_key_sealed = models.TextField(blank=True)
    key_custody = models.CharField(max_length=10, choices=KeyCustody.choices, default=KeyCustody.PORTAL)

    # When a private key that the portal made is destroyed; null until its profile is first handed out.
    key_due_at = models.DateTimeField(null=True, blank=True)

    # The peer's own label in its DNS name, unique among its member's devices, or among the instance's sites.
    dns_label = models.CharField(max_length=63, blank=True)

    # The previous credentials after a change of protocol, valid until the peer connects over the new one. Its previous
    # certificates are among the earlier ones.
    former_protocol = models.CharField(max_length=10, choices=Protocol.choices, blank=True)
    former_public_key = models.CharField(max_length=44, blank=True)
    former_preshared_key_sealed = models.TextField(blank=True)

    changed_generation = models.PositiveBigIntegerField()
    # Digest of this peer as the hub has it; empty if the hub does not have it.
    applied_digest = models.CharField(max_length=64, blank=True)
    delivered_digest = models.CharField(max_length=64, blank=True)
    # The host in the delivered profile. A profile with an address that the hub no longer has is outdated.
    delivered_host = models.CharField(max_length=255, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    private_key = Sealed("private_key_sealed")
    preshared_key = Sealed("preshared_key_sealed")
    former_preshared_key = Sealed("former_preshared_key_sealed")
    tls_crypt_key = Sealed("tls_crypt_key_sealed")

    objects = PeerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["instance", "changed_generation"], name="peer_changed"),
            models.Index(fields=["instance", "-type", "created_at", "id"], name="peer_listed"),
            # For the API's list.
            models.Index(fields=["instance", "created_at", "id"], name="peer_by_age"),
            # For the sites that an instance does not have yet.
            models.Index(fields=["instance", "site"], condition=Q(site__isnull=False), name="peer_site_of_instance"),
            # For the profiles that were fetched since they were compared.
            models.Index(
                fields=["instance", "delivered_at"], condition=Q(delivered_at__isnull=False), name="peer_delivered"
            ),
            # For the jobs that look for what is due.
            models.Index(fields=["expires_at"], condition=Q(expires_at__isnull=False), name="peer_expires"),
            models.Index(fields=["unused_until"], condition=Q(unused_until__isnull=False), name="peer_unused"),
            models.Index(
                fields=["certificate_due_at"],
                condition=Q(certificate_due_at__isnull=False),
                name="peer_certificate_due",
            ),
            models.Index(fields=["key_due_at"], condition=Q(key_due_at__isnull=False), name="peer_key_due"),
            # Which instances need OpenVPN listeners.
            models.Index(fields=["instance"], condition=OVER_OPENVPN, name="peer_over_openvpn"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "host"], name="peer_addresses_unique"),
            models.UniqueConstraint(fields=["instance", "public_key"], name="peer_public_key_unique"),
            models.UniqueConstraint(
                fields=["instance", "member", "dns_label"],
                condition=Q(type=PeerType.CLIENT) & ~Q(dns_label=""),
                name="peer_device_label_unique",
            ),
            models.UniqueConstraint(
                fields=["instance", "dns_label"],
                condition=Q(type=PeerType.SITE) & ~Q(dns_label=""),
                name="peer_site_label_unique",
            ),
            models.CheckConstraint(
                condition=Q(type=PeerType.CLIENT, member__isnull=False, site__isnull=True)
                | Q(type=PeerType.SITE, member__isnull=True, site__isnull=False),
                name="peer_has_member_or_site",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row and the rows of its networks."""
        written = kwargs.get("update_fields")
        if self.type != PeerType.SITE or not (written is None or "subnets" in written):
            super().save(*args, **kwargs)
            return
        if is_recording() or not self._has_stored_subnets():
            about_to_write(RevisedSection.SITES, self.site_id)
        with transaction.atomic():
            super().save(*args, **kwargs)
            _follow_subnets([self])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row; the routes of a site are a part of its instance's revisions."""
        if self.is_site:
            about_to_write(RevisedSection.SITES, self.site_id)
        return super().delete(*args, **kwargs)

    def _has_stored_subnets(self) -> bool:
        stored = Peer.objects.filter(pk=self.pk).values_list("subnets", flat=True).first()
        return bool(stored == self.subnets)

    @property
    def label(self) -> str:
        """The name of this peer on pages: the site's name, or its owner and the device's name."""
        if self.site is not None:
            return self.site.name
        owner = self.member.label if self.member is not None else ""
        return f"{owner} / {self.device}" if self.device else owner

    @property
    def relative_name(self) -> str:
        """The peer's name relative to its hub's domain, such as laptop.anna or berlin; empty if it has none yet."""
        if self.member is None:
            return self.dns_label
        return f"{self.dns_label}.{self.member.slug}" if self.dns_label and self.member.slug else ""

    @property
    def dns_name(self) -> str:
        """The peer's full name, which its hub's resolver answers; empty if it has none yet."""
        return f"{self.relative_name}.{self.instance.full_hostname}" if self.relative_name else ""

    @property
    def is_site(self) -> bool:
        """Is the other end a router?"""
        return self.type == PeerType.SITE

    @property
    def addresses(self) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
        """The peer's tunnel addresses."""
        return self.instance.host_addresses(self.host)

    @property
    def is_admitted(self) -> bool:
        """Should the hub admit this peer? The same rule as PeerQuerySet.admitted."""
        member = self.member
        return is_admitted(
            timezone.now(),
            enabled=self.enabled,
            ends_at=self.ends_at,
            member_state=None if member is None else member.state,
            is_active=None if member is None else member.user.is_active,
        )

    @property
    def ends_at(self) -> datetime | None:
        """When its hub ends it: at its date, or after days without use, whichever comes first."""
        return ends_at(self.expires_at, self.unused_until)

    @property
    def exit_through(self) -> str:
        """The name of the site through which a client reaches the internet; "" for the hub."""
        return self.exit_site.name if self.exit_site is not None else ""

    @property
    def aliases(self) -> tuple[Alias, ...]:
        """The aliases among the subnets of a site, which its router translates."""
        return aliases_among(self.subnets, self.site.alias or ()) if self.site is not None else ()

    @property
    def is_openvpn(self) -> bool:
        """Does this peer connect over OpenVPN?"""
        return self.protocol == Protocol.OPENVPN

    @property
    def has_profile(self) -> bool:
        """Can its profile be made: does the portal have its private key, or the device its own?"""
        if self.key_custody == KeyCustody.PORTAL:
            return self.key_due_at is None or self.key_due_at > timezone.now()
        return self.key_custody == KeyCustody.DEVICE

    @property
    def has_enrolled_router(self) -> bool:
        """Does its router fetch its configuration itself? No query; False where the router was not read with it."""
        relation: Any = self._meta.get_field("router")
        return relation.is_cached(self) and (found := relation.get_cached_value(self)) is not None and found.is_enrolled

    @property
    def seen(self) -> PeerObservation:
        """What the hub last reported about the peer with its present key; blank if nothing. Not to be saved."""
        try:
            found = self.observation
        except PeerObservation.DoesNotExist:
            return PeerObservation(peer=self, public_key=self.public_key)
        if found.public_key == self.public_key:
            return found
        bytes_so_far = {"received_bytes": found.received_bytes, "sent_bytes": found.sent_bytes}
        return PeerObservation(peer_id=self.pk, public_key=self.public_key, **bytes_so_far)

    @property
    def is_connected(self) -> bool:
        """A handshake within 180 s or an OpenVPN session, observed at most 10 s ago; as PeerQuerySet.connected."""
        if not self.instance.seen.is_recent or not self.is_admitted:
            return False  # a refused peer may have had a handshake a moment before
        seen = self.seen
        return has_tunnel(
            timezone.now(),
            is_openvpn=self.is_openvpn,
            last_handshake=seen.last_handshake,
            connected_from=seen.connected_from,
        )

    @property
    def is_reconnecting(self) -> bool:
        """Is its OpenVPN session about to reconnect, so that changed options are pushed to it?"""
        return self.is_openvpn and self.seen.push_generation is not None and self.is_connected

    @property
    def hub_may_admit(self) -> bool:
        """May its hub still let it in, although it should not? The hub has not confirmed yet that it ended."""
        return bool(self.applied_digest) and not self.is_admitted

    @property
    def is_on_hub(self) -> bool:
        """Has the server confirmed this peer as it is now?"""
        return bool(self.applied_digest) and self.changed_generation <= self.instance.applied_generation


def _follow_subnets(peers: Iterable[Peer]) -> None:
    from vpn.models.peer_network import follow_subnets  # its rows point to peers

    follow_subnets(peers)


def with_openvpn(instances: Iterable[uuid.UUID], *, confirmed: bool = False) -> set[uuid.UUID]:
    """Which of these instances need OpenVPN listeners, since a peer may connect over OpenVPN; one query.

    `confirmed`: only those whose hub has confirmed such a peer, and so runs the listeners.
    """
    peers = Peer.objects.over_openvpn().filter(instance__among=instances)
    if confirmed:
        # A peer that is about to change to OpenVPN is on the hub with its former protocol alone.
        is_current = Q(changed_generation__lte=F("instance__applied_generation"))
        peers = peers.filter(is_current | ~Q(former_protocol=Protocol.WIREGUARD)).exclude(applied_digest="")
    return set(peers.order_by().values_list("instance", flat=True).distinct())


def with_compat(instances: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these instances have a router that needs the compatibility listener; one query."""
    routers = Peer.objects.admitted_sites().over_openvpn().filter(instance__among=instances).order_by()
    rows = routers.values_list("instance_id", "site__platform", "site__platform_version").distinct()
    return {instance_id for instance_id, platform, version in rows if needs_compat(platform, version)}


class PeerTombstone(models.Model):
    """A deleted peer that the server may still have; removed once its removal is applied."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="tombstones")
    peer_id = models.UUIDField()
    # Its label, for Activity.
    label = models.CharField(max_length=400, blank=True, default="")
    applied_digest = models.CharField(max_length=64, blank=True)
    generation = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"removed peer {self.peer_id}"
