"""The connection journal: who was connected from when to when, from which address. Only jobs write it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID, uuid5

from django.db import models
from django.db.models import Q

from portal.models.journal import NAME_LENGTH, first_id_at
from vpn.choices import EndReason, Protocol

_VERSION_AND_VARIANT: Final = 7 << 76 | 2 << 62


def connection_id(peer_id: UUID, began_at: datetime) -> UUID:
    """The id of a peer's connection that began then: whoever records it again finds its row.

    It has the form of a UUID of version 7 (RFC 9562), so that ids sort by the begin.
    """
    digest = int.from_bytes(hashlib.sha256(peer_id.bytes).digest()[:10])
    rest = (digest >> 68) << 64 | (digest & (1 << 62) - 1)
    return UUID(int=first_id_at(began_at).int | _VERSION_AND_VARIANT | rest)


class Connection(models.Model):
    """One connection of a peer; without an end it is still open.

    It holds names by value and no foreign keys, since it outlives the peer. Counters are those of PeerObservation, at
    its begin and at its end.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    organization_id = models.UUIDField()
    instance_id = models.UUIDField()
    instance_name = models.CharField(max_length=NAME_LENGTH)
    peer_id = models.UUIDField()
    peer_name = models.CharField(max_length=NAME_LENGTH)
    # The membership of a device's owner, and their mail address; or the site.
    person_id = models.UUIDField(null=True, blank=True)
    person = models.CharField(max_length=NAME_LENGTH, blank=True)
    site_id = models.UUIDField(null=True, blank=True)
    protocol = models.CharField(max_length=10, choices=Protocol.choices)
    # OpenVPN: udp, tcp or compat.
    listener = models.CharField(max_length=6, blank=True)
    # The tunnel addresses.
    address_v4 = models.GenericIPAddressField(protocol="IPv4")
    address_v6 = models.GenericIPAddressField(protocol="IPv6")
    # The networks behind a site: the rows of ConnectionSubnet with this `set_id`.
    subnets = models.UUIDField(null=True, blank=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=10, choices=EndReason.choices, blank=True)
    # Where it came from at first, where from since it changed its address the last time, and how often it did.
    endpoint = models.CharField(max_length=60, blank=True)
    last_endpoint = models.CharField(max_length=60, blank=True)
    endpoint_changes = models.PositiveIntegerField(default=0)
    received_from = models.PositiveBigIntegerField(default=0)
    sent_from = models.PositiveBigIntegerField(default=0)
    received_to = models.PositiveBigIntegerField(null=True, blank=True)
    sent_to = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["organization_id", "id"], name="connection_by_time"),
            models.Index(fields=["organization_id", "address_v4", "id"], name="connection_by_v4"),
            models.Index(fields=["organization_id", "address_v6", "id"], name="connection_by_v6"),
            models.Index(fields=["subnets", "id"], name="connection_by_subnets", condition=Q(subnets__isnull=False)),
            models.Index(fields=["peer_id", "id"], name="connection_by_peer"),
            models.Index(fields=["instance_id", "id"], name="connection_by_instance"),
            models.Index(fields=["person_id", "id"], name="connection_by_person", condition=Q(person_id__isnull=False)),
            models.Index(fields=["site_id", "id"], name="connection_by_site", condition=Q(site_id__isnull=False)),
            models.Index(fields=["instance_id"], name="connection_open", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.peer_name} since {self.began_at:%Y-%m-%d %H:%M:%S}"

    @property
    def is_open(self) -> bool:
        """Has no end of it been observed?"""
        return self.ended_at is None


def subnets_id(peer_id: UUID, subnets: list[str]) -> UUID | None:
    """The id of a peer's list of subnets; None if there are none."""
    return uuid5(peer_id, " ".join(sorted(subnets))) if subnets else None


class ConnectionSubnet(models.Model):
    """One network behind a site peer during connections. All rows of one list of a peer have the same `set_id`."""

    set_id = models.UUIDField()
    organization_id = models.UUIDField()
    peer_id = models.UUIDField()
    network = models.CharField(max_length=43)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["organization_id", "network"], name="connection_subnet_search"),
            models.Index(fields=["peer_id"], name="connection_subnet_peer"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["set_id", "network"], name="connection_subnet_once")
        ]

    def __str__(self) -> str:
        return self.network
