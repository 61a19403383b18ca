"""Many tenants in one database: 1,000 instances, 100,000 peers, 10,000 sites; one organization has 60 of the instances.

Rows are inserted in bulk, as no client of that many fits on a machine. No hub runs for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final

from django.db.models import Count
from django.utils import timezone

from portal.models import Membership, MembershipState, Organization, Role, User
from tests.factories import BY, make_organization, make_region, settle
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.settings import update_instance
from vpn.choices import PeerType, Platform
from vpn.models import Instance, InstanceObservation, Peer, PeerObservation, Site

MANY: Final = 1_000_000
# Of every ten peers one is a site; six are connected.
_SITE_EVERY: Final = 10
_BATCH: Final = 1000
_LARGE: Final = "Large"
# What hubs report stays recent for as long as pages of it are asked for, and profiles were fetched before.
FRESH: Final = timedelta(days=1)


@dataclass(frozen=True)
class Size:
    """How many organizations, instances of each and peers of each instance; and the large organization's shape."""

    organizations: int = 94
    instances: int = 10
    peers: int = 89
    large_instances: int = 60
    large_peers: int = 100
    largest_instance: int = 10_000
    members: int = 1000


@dataclass(frozen=True)
class Population:
    """What was made: the large organization, its largest instance and its members, admins first."""

    organization: Organization
    instance: Instance
    members: list[Membership]


def find_population() -> Population | None:
    """What an earlier run made, if the database was kept."""
    organization = Organization.objects.filter(name=_LARGE).first()
    if organization is None:
        return None
    counted = Instance.objects.filter(organization=organization).annotate(number=Count("peers"))
    members = Membership.objects.filter(organization=organization, slug__startswith="user").order_by("role", "pk")
    return Population(organization, counted.order_by("-number")[0], list(members))


class Populating:
    """Inserts rows; public keys and hostnames count on over all of them."""

    def __init__(self) -> None:
        self._numbers = count(1)
        make_region()

    def populate(self, size: Size, *, admins: int) -> Population:
        """Fill the database; `admins` members of the large organization are admins."""
        for number in range(size.organizations):
            organization = self._organization(f"Organization {number}")
            members = self.members(organization, 20, admins=1)
            for _ in range(size.instances):
                self.fill(self._instance(organization, prefix=24), members, size.peers)
        organization = self._organization(_LARGE)
        members = self.members(organization, size.members, admins=admins)
        for _ in range(size.large_instances - 1):
            self.fill(self._instance(organization, prefix=24), members, size.large_peers)
        largest = self._instance(organization, prefix=18)
        self.fill(largest, members, size.largest_instance)
        self._rules(largest)
        settled = settle(largest)
        InstanceObservation.objects.note([settled.pk], observed_at=timezone.now() + FRESH)
        return Population(organization, settled, members)

    def _organization(self, name: str) -> Organization:
        made = make_organization(name)
        limits = [field.name for field in Organization._meta.fields if field.name.startswith("most_")]
        Organization.objects.filter(pk=made.pk).update(**dict.fromkeys(limits, MANY))
        made.refresh_from_db()
        return made

    def members(self, organization: Organization, number: int, *, admins: int) -> list[Membership]:
        """Add members with accounts, admins first."""
        numbers = [next(self._numbers) for _ in range(number)]
        users = [User(email=f"user{one}@example.org", name=f"User {one}", proven=True) for one in numbers]
        User.objects.bulk_create(users, batch_size=_BATCH)
        rows = [
            Membership(
                organization=organization,
                user=user,
                role=Role.ADMIN if place < admins else Role.MEMBER,
                state=MembershipState.ACTIVE,
                slug=f"user{one}",
            )
            for place, (one, user) in enumerate(zip(numbers, users, strict=True))
        ]
        return Membership.objects.bulk_create(rows, batch_size=_BATCH)

    def _instance(self, organization: Organization, *, prefix: int) -> Instance:
        number = next(self._numbers)
        made = create_instance(
            organization,
            name=f"Hub {number}",
            hostname=f"hub{number}",
            region=make_region(),
            pool_prefix=prefix,
            by=BY,
        )
        return settle(made)

    def fill(self, instance: Instance, members: list[Membership], number: int) -> None:
        """Add peers to an instance, every tenth a site with a subnet, as if its hub had reported them."""
        sites = [
            Site(
                organization=instance.organization,
                name=f"Branch {next(self._numbers)}",
                platform=Platform.ROUTEROS7,
                subnets=[f"10.{place >> 8}.{place & 255}.0/24"],
            )
            for place in range(number // _SITE_EVERY)
        ]
        Site.objects.bulk_create(sites, batch_size=_BATCH)
        peers = [*self._site_peers(instance, sites), *self._devices(instance, members, len(sites), number)]
        Peer.objects.bulk_create(peers, batch_size=_BATCH)
        self._observe(instance, peers)

    def _site_peers(self, instance: Instance, sites: list[Site]) -> Iterator[Peer]:
        for place, site in enumerate(sites):
            peer = self._peer(instance, place)
            peer.type, peer.site, peer.subnets, peer.dns_label = PeerType.SITE, site, site.subnets, f"branch{place}"
            yield peer

    def _devices(self, instance: Instance, members: list[Membership], first: int, end: int) -> Iterator[Peer]:
        for place in range(first, end):
            peer = self._peer(instance, place)
            peer.type, peer.member = PeerType.CLIENT, members[place % len(members)]
            peer.device, peer.dns_label = f"Laptop {place}", f"laptop{place}"
            yield peer

    def _peer(self, instance: Instance, place: int) -> Peer:
        return Peer(
            instance=instance,
            host=place + 2,
            # Of 32 octets: agents report no other key.
            public_key=f"{next(self._numbers):042}0=",
            changed_generation=1,
            applied_digest="0" * 64,
            delivered_digest="0" * 64,
            delivered_at=timezone.now() - FRESH,
        )

    def _observe(self, instance: Instance, peers: list[Peer]) -> None:
        now = timezone.now()
        rows = [
            PeerObservation(
                peer_id=peer.pk,
                public_key=peer.public_key,
                last_handshake=now + FRESH if place % _SITE_EVERY < 6 else now - timedelta(days=3),
                endpoint="203.0.113.5:40000",
                received_bytes=1000,
                sent_bytes=1000,
            )
            for place, peer in enumerate(peers)
        ]
        PeerObservation.objects.bulk_create(rows, batch_size=_BATCH)
        InstanceObservation.objects.note([instance.pk], observed_at=now + FRESH)

    def _rules(self, instance: Instance) -> None:
        sites = list(Peer.objects.filter(instance=instance, type=PeerType.SITE).values_list("site", flat=True)[:100])
        rules = [
            {"action": "accept", "protocol": "tcp", "port": "443", "source": f"site:{one}", "destination": "any"}
            for one in sites
        ]
        update_instance(instance, firewall=rules, by=BY)
