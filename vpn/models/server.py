"""A Linux host that carries hubs."""

from __future__ import annotations

import uuid
from ipaddress import ip_address

from django.db import models

from vpn.models.region import Region


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
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where devices find the server's hubs, IPv4 before IPv6: where there is room for one only, it is the first."""
        known = dict.fromkeys(address for address in (self.address, self.address_v6) if address)
        return tuple(sorted(known, key=lambda address: ip_address(address).version))
