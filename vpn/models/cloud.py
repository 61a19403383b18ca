"""Cloud accounts, the servers that were ordered with them, and what the clouds have that the portal does not know."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext as _

from portal.sealing import Sealed
from vpn.choices import NodeState
from vpn.models.region import Region
from vpn.models.server import Server


class CloudAccount(models.Model):
    """The provider, the credentials and the kind of server with which the servers of a region are ordered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    region = models.OneToOneField(Region, on_delete=models.PROTECT, related_name="cloud")
    # The name of the provider in apache-libcloud (`vpn.clouds` describes some).
    provider = models.CharField(max_length=40)
    key = models.CharField(max_length=200, blank=True)
    secret_sealed = models.TextField(blank=True)
    location = models.CharField(max_length=80, blank=True)
    size = models.CharField(max_length=80)
    image = models.CharField(max_length=120)
    network = models.CharField(max_length=120, blank=True)
    endpoint = models.CharField(max_length=200, blank=True)
    project = models.CharField(max_length=120, blank=True)
    domain = models.CharField(max_length=120, blank=True)
    # The most instances that each of its servers carries.
    capacity = models.PositiveIntegerField(default=20)
    # The networks from which SSH is allowed; none: from everywhere. Only where the portal opens ports.
    ssh_from = models.JSONField(default=list, blank=True)
    # The last test of the credentials: when it was requested and ended, and the finding, null if they work.
    test_requested_at = models.DateTimeField(null=True, blank=True)
    tested_at = models.DateTimeField(null=True, blank=True)
    test_finding = models.JSONField(null=True, blank=True)
    # When everything with the portal's tag was last listed.
    swept_at = models.DateTimeField(null=True, blank=True)

    secret = Sealed("secret_sealed")

    class Meta:
        ordering: ClassVar[list[str]] = ["region"]

    def __str__(self) -> str:
        return f"{self.provider} for {self.region_id}"


class CloudNode(models.Model):
    """A server that is ordered from a cloud, from before the order until the provider has removed it.

    Its id is the request with which the node is tagged at the provider.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.OneToOneField(Server, on_delete=models.CASCADE, related_name="node")
    account = models.ForeignKey(CloudAccount, on_delete=models.PROTECT, related_name="nodes")
    state = models.CharField(max_length=10, choices=NodeState.choices, default=NodeState.WANTED)
    state_since = models.DateTimeField()
    # Raised with every order whose answer is known, so that the next one is another for the provider.
    attempt = models.PositiveSmallIntegerField(default=0)
    # The provider's name of the node; "" before it is known.
    node_id = models.CharField(max_length=200, blank=True)
    # The host key that the user data carries; the private one is deleted once the server has made another.
    host_key_sealed = models.TextField(blank=True)
    # The public key that the server made as the next one; it is trusted once the server uses it.
    next_host_key = models.TextField(blank=True)
    # When the last order was sent whose answer is not known; null if there is none.
    called_at = models.DateTimeField(null=True, blank=True)
    # The ports that are open in the provider's firewall, such as "udp/20000".
    opened = models.JSONField(default=list, blank=True)
    # Why the last call or connection failed, as a finding; null if it did not.
    finding = models.JSONField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    # When it is looked at next, and the worker that does.
    look_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    host_key = Sealed("host_key_sealed")

    def __str__(self) -> str:
        return f"{self.node_id or self.pk} ({self.get_state_display()})"

    @property
    def removal(self) -> str:
        """What its removal waits for, in words."""
        if self.called_at is not None:
            return _(
                "It is not known whether its order had an effect, so the portal looks for it until the cloud answers."
            )
        return _("The portal repeats the removal until the cloud has confirmed it.")


class StrayNode(models.Model):
    """A node or firewall with the portal's tag that no row knows. It is paid for, and staff decide about it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="strays")
    request = models.UUIDField()
    is_group = models.BooleanField(default=False)
    found_id = models.CharField(max_length=200)
    address = models.CharField(max_length=45, blank=True)
    first_seen_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # When staff asked for its removal; null if they have not.
    removal_asked_at = models.DateTimeField(null=True, blank=True)
    finding = models.JSONField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["first_seen_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "is_group", "found_id"], name="stray_once")
        ]

    def __str__(self) -> str:
        return self.found_id


class PortalTag(models.Model):
    """The name of this portal in the tags of its nodes. There is one row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    only = models.BooleanField(default=True, unique=True)

    def __str__(self) -> str:
        return self.id.hex[:8]


def portal_tag() -> str:
    """Return the eight hexadecimal digits with which this portal tags what it orders; the same for ever."""
    return str(PortalTag.objects.get_or_create(only=True)[0])
