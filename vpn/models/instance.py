"""The hub and its settings, and what its server has confirmed."""

from __future__ import annotations

import ipaddress
import secrets
import string
import uuid
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from portal.models import Organization
from portal.sealing import Sealed
from vpn.addressing.pools import host_addresses, own_networks, pool_v4_of, pool_v6_of
from vpn.choices import FirewallPolicy, InstanceState
from vpn.constants import DEFAULT_MTU, DEFAULT_PUBLIC_DNS
from vpn.dns_names import is_searched
from vpn.models.observation.instance import InstanceObservation
from vpn.models.observation.public_name import PublicName
from vpn.models.querysets import InstanceQuerySet
from vpn.models.region import Region
from vpn.models.server import Server

LONGEST_FAILURE: Final = 400


def new_hub_name() -> str:
    """A random name for the hub's namespace and interfaces: 10 characters, a letter first."""
    rest = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(9))
    return secrets.choice(string.ascii_lowercase) + rest


def default_public_dns() -> list[str]:
    """The upstream servers of a hub unless the admin chose others."""
    return list(DEFAULT_PUBLIC_DNS)


class Instance(models.Model):
    """A hub in a region, reached at its server's addresses; its peers' names are below `<hostname>.<VPN_DOMAIN>`.

    What is observed about the hub is in InstanceObservation. What its server confirmed is here (`applied_*`, `failure`,
    `retry_at`, `lagging_since`): jobs write it under the claim's token, never ahead of the desired state. The next
    delta starts from it, so it has to change together with the rows that actions lock.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hub = models.CharField(max_length=10, unique=True, default=new_hub_name, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="instances")
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="instances")
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="instances", null=True, blank=True)
    name = models.CharField(max_length=20)
    hostname = models.CharField(max_length=20, unique=True)
    state = models.CharField(max_length=12, choices=InstanceState.choices, default=InstanceState.PENDING)
    configured = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    pool_v4 = models.CharField(max_length=18)
    # The start of the pool before it was widened: host numbers are counted from there ("": from its first address).
    pool_origin = models.CharField(max_length=15, blank=True)
    pool_v6 = models.CharField(max_length=43)
    # WireGuard listens on this UDP port. The next one and the TCP ports of both numbers belong to the instance too.
    port_base = models.PositiveIntegerField(db_index=True)
    mtu = models.PositiveSmallIntegerField(default=DEFAULT_MTU)
    pushed_routes = models.JSONField(default=list, blank=True)
    public_dns = models.JSONField(default=default_public_dns, blank=True)
    # The resolvers for `domains` alone, such as a branch's own.
    split_dns = models.JSONField(default=list, blank=True)
    domains = models.JSONField(default=list, blank=True)
    firewall_policy = models.CharField(max_length=5, choices=FirewallPolicy.choices, default=FirewallPolicy.ALLOW)

    # Who may reach the routers' own services at their tunnel addresses (vpn.router_services): `site:ID`, `group:ID`.
    # Both are empty if nobody may.
    management_services = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)
    management_sources = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)

    # May members add devices for themselves? Not even the hub's firewall depends on it.
    members_add_devices = models.BooleanField(default=False, db_default=False)

    public_key = models.CharField(max_length=44, unique=True)
    private_key_sealed = models.TextField()
    # The peer with which the portal knocks on the hub. It may only reach the hub's own address.
    probe_private_key_sealed = models.TextField(blank=True)
    probe_preshared_key_sealed = models.TextField(blank=True)

    # The instance's own certificate authority and the hub's certificate, for OpenVPN (vpn.pki); PEM texts.
    authority_certificate = models.TextField(blank=True)
    authority_key_sealed = models.TextField(blank=True)
    server_certificate = models.TextField(blank=True)
    server_key_sealed = models.TextField(blank=True)
    tls_crypt_key_sealed = models.TextField(blank=True)
    revocation_list = models.TextField(blank=True)
    revocation_number = models.PositiveIntegerField(default=0)
    # The name and address in the hub's certificate, and when it or the revocation list is due to be renewed.
    certificate_hosts = models.CharField(max_length=400, blank=True, default="", db_default="")
    certificates_due_at = models.DateTimeField(default=timezone.now, db_default=Now(), db_index=True, blank=True)

    # When the hub last got new keys because its server was compromised. Profiles from before connect nowhere.
    keys_replaced_at = models.DateTimeField(null=True, blank=True)

    epoch = models.PositiveIntegerField(default=1)
    # The highest epoch that a move has used. Servers that were moved to and from refuse it and earlier ones.
    moved_epoch = models.PositiveIntegerField(default=0, db_default=0)
    # Addresses of former servers that forward the hub's ports, so that profiles which point there stay valid.
    earlier_addresses = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)
    desired_generation = models.PositiveBigIntegerField(default=1)
    # The last generation that changed more than peers.
    settings_generation = models.PositiveBigIntegerField(default=1)
    # The last one that changed more than a delta can carry: a server behind it needs the whole specification.
    whole_generation = models.PositiveBigIntegerField(default=1)
    applied_generation = models.PositiveBigIntegerField(default=0)
    applied_epoch = models.PositiveIntegerField(default=0)
    applied_digest = models.CharField(max_length=64, blank=True)
    applied_header_digest = models.CharField(max_length=64, blank=True)
    # Who requested the generations that the server has not confirmed (vpn.actions.activity.asking).
    asked_by = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)
    # Sum of the applied peers' digests, hexadecimal. With it a delta's digest is computed without the other peers.
    applied_total = models.CharField(max_length=64, blank=True)

    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # Why the last apply failed, or why a lost hub is not built anew (portal.told), and when it is retried.
    failure = models.CharField(max_length=LONGEST_FAILURE, blank=True)
    # The same as a finding of the agent or of `vpn.failures`, which pages put into words; null in older rows.
    refusal = models.JSONField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    # Since when the server is behind the newest generation; null if it is not.
    lagging_since = models.DateTimeField(null=True, blank=True)

    private_key = Sealed("private_key_sealed")
    probe_private_key = Sealed("probe_private_key_sealed")
    probe_preshared_key = Sealed("probe_preshared_key_sealed")
    authority_key = Sealed("authority_key_sealed")
    server_key = Sealed("server_key_sealed")
    tls_crypt_key = Sealed("tls_crypt_key_sealed")

    objects = InstanceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "pool_v4"], name="instance_pool_distinct_in_organization"),
            models.UniqueConstraint(fields=["server", "port_base"], name="instance_port_unique_on_server"),
            models.CheckConstraint(
                condition=models.Q(applied_generation__lte=models.F("desired_generation")),
                name="instance_applied_not_ahead",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def full_hostname(self) -> str:
        """The hub's public name, and the DNS domain of its devices, which only the hub's own resolver knows."""
        return f"{self.hostname}.{settings.VPN_DOMAIN}"

    @property
    def name_seen(self) -> PublicName | None:
        """What was observed of the public name; None if it was never looked at."""
        try:
            found = self.public_name
        except PublicName.DoesNotExist:
            return None
        return found if found.name == self.full_hostname else None

    @property
    def resolving_name(self) -> str:
        """The public name, if it is known to resolve to exactly the hub's addresses; else ""."""
        addresses = self.server.addresses if self.server is not None else ()
        seen = self.name_seen
        return seen.name if seen is not None and seen.resolves_to(addresses) else ""

    @property
    def search_domains(self) -> list[str]:
        """The search domains of devices: the hub's domain, and the domains with servers of their own."""
        return [self.full_hostname, *(domain for domain in self.domains if is_searched(domain))]

    @property
    def network_v4(self) -> ipaddress.IPv4Network:
        """The IPv4 pool."""
        return pool_v4_of(self.pool_v4)

    @property
    def network_v6(self) -> ipaddress.IPv6Network:
        """The IPv6 pool."""
        return pool_v6_of(self.pool_v6)

    @property
    def pool(self) -> str:
        """The IPv4 pool as its admin enters it."""
        return self.pool_v4

    @property
    def origin(self) -> ipaddress.IPv4Address:
        """The IPv4 address of host 0."""
        return ipaddress.IPv4Address(self.pool_origin) if self.pool_origin else self.network_v4.network_address

    def host_addresses(self, host: int) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
        """Both addresses of a host number of the pools."""
        return host_addresses(self.network_v4, self.network_v6, host, self.origin)

    def host_of(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int | None:
        """The host number of an address of the pools, the inverse of `host_addresses`; None for any other address."""
        if isinstance(address, ipaddress.IPv4Address):
            pool = self.network_v4
            return (int(address) - int(self.origin)) % pool.num_addresses if address in pool else None
        return int(address) - int(self.network_v6.network_address) if address in self.network_v6 else None

    def own_networks(self, host: int) -> tuple[str, str]:
        """Both addresses of a host number as networks of their own, in text."""
        return own_networks(self.pool_v4, self.pool_v6, host, self.pool_origin)

    @property
    def wireguard_port(self) -> int:
        """The UDP port of the WireGuard listener."""
        return self.port_base

    @property
    def openvpn_port(self) -> int:
        """The port of the OpenVPN listeners, UDP and TCP."""
        return self.port_base + 1

    @property
    def compat_port(self) -> int:
        """The TCP port of the listener for routers that need old ciphers; it runs only while there is one."""
        return self.port_base

    @property
    def has_certificates(self) -> bool:
        """Are the authority, the hub certificate and the key exchange's material there?"""
        return bool(self.server_certificate and self.tls_crypt_key_sealed and self.revocation_list)

    @property
    def is_up_to_date(self) -> bool:
        """Has the server confirmed the newest generation?"""
        return self.applied_generation >= self.desired_generation and self.applied_epoch == self.epoch

    @property
    def seen(self) -> InstanceObservation:
        """The last observation of the hub; blank if it was never observed. Not to be saved."""
        try:
            return self.observation
        except InstanceObservation.DoesNotExist:
            return InstanceObservation(instance=self)

    @property
    def dns_gap(self) -> str:
        """The address family over which the server reaches none of the public resolvers; "" if it reaches one."""
        if self.server is None or not self.public_dns:
            return ""
        carried = {4: self.server.carries_ipv4, 6: self.server.carries_ipv6}
        families = {6 if ":" in address else 4 for address in self.public_dns}
        lost = [f"IPv{family}" for family in sorted(families) if not carried[family]]
        return " and ".join(lost) if len(lost) == len(families) else ""

    @property
    def server_ready(self) -> bool:
        """Ready, with every change applied."""
        return self.state == InstanceState.READY and self.is_up_to_date and not self.failure
