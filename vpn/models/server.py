"""A Linux host that carries hubs."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpn.addressing.networks import Network, network_of
from vpn.choices import ServerState
from vpn.models.region import Region
from vpn.wire.identity import SCHEMA


class Server(models.Model):
    """One host in a region; each instance on it has a network namespace of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="servers")
    name = models.CharField(max_length=60)
    address = models.GenericIPAddressField(
        null=True, blank=True, help_text=gettext_lazy("public address that profiles point to")
    )
    address_v6 = models.GenericIPAddressField(
        protocol="IPv6",
        null=True,
        blank=True,
        help_text=gettext_lazy("a second public address, where `address` is an IPv4 one"),
    )
    # Does the server reach the internet over each address family, for full tunnels? As its agent reported.
    carries_ipv4 = models.BooleanField(default=True)
    carries_ipv6 = models.BooleanField(default=True)
    # Networks behind the server (its LAN, its VPC) that instances on it may push, as staff allow.
    networks = models.JSONField(default=list, blank=True)
    # The TCP port of the portal, if PUBLIC_URL points to this server. Devices with a full tunnel may reach it.
    portal_port = models.PositiveIntegerField(null=True, blank=True)
    # The version of the agent that reported last, and its schema of specs: 0 if it names none, null before a report.
    agent_version = models.CharField(max_length=40, blank=True, default="", db_default="")
    agent_schema = models.PositiveSmallIntegerField(null=True, blank=True)
    # What it can do beyond the first release, such as `trial`; null if it did not say.
    agent_features = models.JSONField(null=True, blank=True, editable=False)
    state = models.CharField(
        max_length=12, choices=ServerState.choices, default=ServerState.READY, db_default=ServerState.READY
    )
    state_since = models.DateTimeField(null=True, blank=True)
    # Why it is in this state, as a finding (`vpn.wire.finding`); null if there is nothing to say.
    state_reason = models.JSONField(null=True, blank=True)
    # A cordoned server takes no new hubs.
    cordoned = models.BooleanField(default=False, db_default=False)
    # The most instances that it carries; null: as many as it has ports for.
    capacity = models.PositiveIntegerField(null=True, blank=True)
    # The failed checks in a row, since when, and when the next one is due.
    unanswered = models.PositiveSmallIntegerField(default=0, db_default=0)
    silent_since = models.DateTimeField(null=True, blank=True)
    check_at = models.DateTimeField(null=True, blank=True)
    # The end of its hubs' leases: by the server's own clock (`vpn.wire.lease`), and a time by which it has passed.
    lease = models.JSONField(null=True, blank=True)
    lease_ends_at = models.DateTimeField(null=True, blank=True)
    # The claim of the job that creates, moves or removes hubs on it (`vpn.jobs.at_work`); null if there is none.
    work_token = models.UUIDField(null=True, blank=True, editable=False)
    work_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When staff were mailed that it is lost; null if it is not.
    loss_mailed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def shown_state(self) -> str:
        """The state for programs: `cordoned` for a ready server that takes no new hubs."""
        return "cordoned" if self.cordoned and self.state == ServerState.READY else self.state

    @property
    def addresses(self) -> tuple[str, ...]:
        """The public addresses of the server's hubs, IPv4 before IPv6; files with room for one take the first."""
        known = dict.fromkeys(address for address in (self.address, self.address_v6) if address)
        return tuple(sorted(known, key=lambda address: ":" in address))

    @property
    def endpoint_networks(self) -> tuple[Network, ...]:
        """Each of `addresses` as a network. No route into a tunnel may contain them.

        The tunnel's own packets go to these addresses.
        """
        return tuple(network_of(address) for address in self.addresses)

    @property
    def speaks_otherwise(self) -> bool:
        """Does the agent use another schema of specs than this portal?"""
        return bool(self.agent_schema) and self.agent_schema != SCHEMA

    @property
    def way_out(self) -> str:
        """The address families over which full tunnels reach the internet, in words; "" for none."""
        if self.carries_ipv4 and self.carries_ipv6:
            return _("IPv4 and IPv6")
        return "IPv4" if self.carries_ipv4 else "IPv6" if self.carries_ipv6 else ""

    @property
    def gap(self) -> str:
        """What full tunnels lack on this server, in a sentence for pages; "" if nothing."""
        if self.carries_ipv4 and self.carries_ipv6:
            return ""
        if not self.way_out:
            return _("The hub's server has no way to the internet now: only the networks behind the hub are reached.")
        if self.carries_ipv4:
            return _(
                "The hub's server has no IPv6 to the internet. It rejects IPv6 at once, so that programs use IPv4, and "
                "nothing bypasses the VPN."
            )
        return _(
            "The hub's server has only IPv6: there is no full tunnel for IPv4 here. Whatever has only an IPv4 address "
            "on the internet is refused at once; nothing goes past the VPN."
        )
