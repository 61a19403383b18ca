"""A Linux host that carries hubs."""

from __future__ import annotations

import uuid
from ipaddress import ip_address

from django.db import models

from vpn.addressing.networks import Network, network_of
from vpn.models.region import Region
from vpn.wire.identity import SCHEMA


class Server(models.Model):
    """One host in a region; each instance on it has a network namespace of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="servers")
    name = models.CharField(max_length=60)
    address = models.GenericIPAddressField(null=True, blank=True, help_text="public address that profiles point to")
    address_v6 = models.GenericIPAddressField(
        protocol="IPv6", null=True, blank=True, help_text="a second public address, where `address` is an IPv4 one"
    )
    # Has the server a way to the internet over each family, for those who send everything? As its agent found it.
    carries_ipv4 = models.BooleanField(default=True)
    carries_ipv6 = models.BooleanField(default=True)
    # Networks behind the server (its LAN, its VPC) that instances on it may push: staff allow them.
    networks = models.JSONField(default=list, blank=True)
    # The TCP port of the portal, where PUBLIC_URL leads to this server: devices that send everything reach it.
    portal_port = models.PositiveIntegerField(null=True, blank=True)
    # Which agent reported last, and the schema of specs that it knows: 0 where it does not say, null before a report.
    agent_version = models.CharField(max_length=40, blank=True, default="", db_default="")
    agent_schema = models.PositiveSmallIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where devices find the server's hubs, IPv4 before IPv6: where there is room for one only, it is the first."""
        known = dict.fromkeys(address for address in (self.address, self.address_v6) if address)
        return tuple(sorted(known, key=lambda address: ip_address(address).version))

    @property
    def endpoint_networks(self) -> tuple[Network, ...]:
        """Each of `addresses` as a network: no route into a tunnel may hold them, as the tunnel itself goes there."""
        return tuple(network_of(address) for address in self.addresses)

    @property
    def speaks_otherwise(self) -> bool:
        """Does the agent say that it knows another schema of specs than this portal's?"""
        return bool(self.agent_schema) and self.agent_schema != SCHEMA

    @property
    def way_out(self) -> str:
        """The families over which devices that send everything reach the internet, in words; "" for none."""
        carried = (("IPv4", self.carries_ipv4), ("IPv6", self.carries_ipv6))
        return " and ".join(family for family, carries in carried if carries)

    @property
    def gap(self) -> str:
        """What full tunnels lack on this server, in a sentence for pages; "" where nothing is missing."""
        if self.carries_ipv4 and self.carries_ipv6:
            return ""
        if not self.way_out:
            return "The hub's server has no way to the internet now: only the networks behind the hub are reached."
        if self.carries_ipv4:
            return (
                "The hub's server has no IPv6 to the internet: it refuses it at once, so that programs take IPv4, and "
                "nothing goes past the VPN."
            )
        return (
            "The hub's server has IPv6 alone: there is no full tunnel for IPv4 here. Whatever has only an IPv4 address "
            "on the internet is refused at once; nothing goes past the VPN."
        )
