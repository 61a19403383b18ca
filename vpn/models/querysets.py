"""Filters of peers and instances that several places use."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import MembershipState
from vpn.choices import InstanceState, PeerType, Protocol, RevisedSection
from vpn.constants import HANDSHAKE_TIMEOUT, OBSERVATION_MAX_AGE
from vpn.models.revised import about_to_write

if TYPE_CHECKING:
    from vpn.models.instance import Instance
    from vpn.models.peer import Peer


OVER_OPENVPN = Q(protocol=Protocol.OPENVPN) | Q(former_protocol=Protocol.OPENVPN)


def admitted_filter(prefix: str = "") -> Q:
    """The peers that the hub should admit: enabled, not expired, their member not deactivated.

    `prefix` is as in `connected_filter`.
    """
    now = timezone.now()
    lasts = Q(**{f"{prefix}expires_at": None}) | Q(**{f"{prefix}expires_at__gt": now})
    is_used = Q(**{f"{prefix}unused_until": None}) | Q(**{f"{prefix}unused_until__gt": now})
    # All states are listed: a negation would join the peers once more in queries over relations.
    belongs = Q(**{f"{prefix}member__state__in": [MembershipState.INVITED, MembershipState.ACTIVE]})
    welcome = Q(**{f"{prefix}member": None}) | (belongs & Q(**{f"{prefix}member__user__is_active": True}))
    return lasts & is_used & welcome & Q(**{f"{prefix}enabled": True})


def seen_filter(prefix: str = "", **lookups: Any) -> Q:
    """The peers that were seen like this with their present key: columns of PeerObservation.

    As Peer.seen, except that a peer that was never seen matches nothing. `prefix` is as in `connected_filter`.
    """
    row = f"{prefix}observation__"
    return Q(**{f"{row}public_key": F(f"{prefix}public_key")}, **{f"{row}{name}": one for name, one in lookups.items()})


def connected_filter(prefix: str = "") -> Q:
    """The connected peers: a recent handshake or an OpenVPN session, in a recent observation.

    `prefix` is the path from the queried model to the peer, such as "peers__"; "" on peers themselves.
    """
    return fresh_filter(f"{prefix}instance__") & tunnel_filter(prefix)


def fresh_filter(prefix: str = "") -> Q:
    """The instances that were observed recently. `prefix` is the path to the instance, "" on instances themselves."""
    return Q(**{f"{prefix}observation__observed_at__gt": timezone.now() - timedelta(seconds=OBSERVATION_MAX_AGE)})


def tunnel_filter(prefix: str = "") -> Q:
    """The peers that are connected if the observation is recent."""
    recent = seen_filter(prefix, last_handshake__gt=timezone.now() - timedelta(seconds=HANDSHAKE_TIMEOUT))
    shook_hands = recent & Q(**{f"{prefix}protocol": Protocol.WIREGUARD})
    has_session = seen_filter(prefix, connected_from__isnull=False) & Q(**{f"{prefix}protocol": Protocol.OPENVPN})
    # A refused peer may have had a handshake a moment before.
    return (shook_hands | has_session) & admitted_filter(prefix)


class InstanceQuerySet(models.QuerySet["Instance"]):
    """Instances, filtered by state."""

    def without_keys(self, keep: Collection[str] = ()) -> InstanceQuerySet:
        """Leave the keys and certificates but `keep` in the database: several kilobytes that no list shows."""
        sealed = ("private", "probe_private", "probe_preshared", "authority", "server", "tls_crypt")
        certificates = ("authority_certificate", "server_certificate", "revocation_list")
        columns = (*(f"{name}_key_sealed" for name in sealed), *certificates)
        return self.defer(*(column for column in columns if column not in keep))

    def with_hub(self) -> InstanceQuerySet:
        """The instances whose hub should be running."""
        return self.filter(state__in=[InstanceState.READY, InstanceState.LOST], configured=True)

    def unclaimed(self) -> InstanceQuerySet:
        """The instances without a worker's claim, or with an expired one; by the database's clock."""
        return self.filter(Q(lease_token=None) | Q(lease_expires_at__lt=Now()))

    def lagging(self) -> InstanceQuerySet:
        """The instances whose server has not confirmed the newest generation."""
        return self.filter(applied_generation__lt=F("desired_generation"))


class PeerQuerySet(models.QuerySet["Peer"]):
    """Peers, filtered by state."""

    def bulk_create(self, objs: Iterable[Peer], *args: Any, **kwargs: Any) -> list[Peer]:
        """Insert many peers, and the rows of the networks that the sites among them advertise."""
        from vpn.models.peer_network import follow_subnets  # its rows point to peers

        with transaction.atomic():
            made = super().bulk_create(objs, *args, **kwargs)
            follow_subnets(peer for peer in made if peer.subnets)
        return made

    def update(self, **values: Any) -> int:
        """Update; the routes of sites are a part of their instances' revisions."""
        if "subnets" in values:
            about_to_write(RevisedSection.SITES)
        return super().update(**values)

    def over_openvpn(self) -> PeerQuerySet:
        """The peers that may connect over OpenVPN, also those that are about to change from it."""
        return self.filter(OVER_OPENVPN)

    def admitted(self) -> PeerQuerySet:
        """The peers that the hub should admit: enabled, not expired, their member not deactivated."""
        return self.filter(admitted_filter())

    def admitted_sites(self) -> PeerQuerySet:
        """The sites among them. A site has no member, so none is joined."""
        now = timezone.now()
        lasts = Q(expires_at=None) | Q(expires_at__gt=now)
        is_used = Q(unused_until=None) | Q(unused_until__gt=now)
        return self.filter(lasts, is_used, type=PeerType.SITE, enabled=True)

    def connected(self) -> PeerQuerySet:
        """The peers with a recent handshake or an OpenVPN session."""
        return self.filter(connected_filter())

    def in_list_order(self) -> PeerQuerySet:
        """The peers of an instance in the order of its list, sites first; as the index peer_listed."""
        return self.order_by("-type", "created_at", "id")

    def dns_names(self, instance: Instance) -> list[str]:
        """The full names of those peers of `instance` that have one; the same as Peer.dns_name."""
        rows = self.exclude(dns_label="").exclude(member__slug="").values_list("type", "dns_label", "member__slug")
        hub = instance.full_hostname
        return [f"{label}.{hub}" if kind == PeerType.SITE else f"{label}.{slug}.{hub}" for kind, label, slug in rows]
