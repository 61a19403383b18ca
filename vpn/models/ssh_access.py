"""How the portal reaches a server over SSH."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.sealing import Sealed
from vpn.keys import ssh_fingerprint
from vpn.models.server import Server


class SshAccess(models.Model):
    """The account, the portal's key pair, and the host keys of one server."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.OneToOneField(Server, on_delete=models.CASCADE, related_name="ssh")
    user = models.CharField(max_length=32)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField(default=22)
    private_key_sealed = models.TextField(blank=True)
    public_key = models.CharField(max_length=200)
    # As type and base64 value: the key that the server showed last, and the one that staff confirmed.
    seen_host_key = models.TextField(blank=True)
    host_key = models.TextField(blank=True)
    # The version of the agent that the last preparation installed.
    agent = models.CharField(max_length=40, blank=True)

    private_key = Sealed("private_key_sealed")

    class Meta:
        verbose_name = _("access over SSH")
        verbose_name_plural = _("accesses over SSH")

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def authorized_key(self) -> str:
        """The line for the account's file ~/.ssh/authorized_keys. It allows no forwarding and no terminal."""
        return f"restrict {self.public_key} vpn-portal"

    @property
    def seen_fingerprint(self) -> str:
        """The fingerprint of the host key that the server showed last; "" for none."""
        return ssh_fingerprint(self.seen_host_key)

    @property
    def trusted_fingerprint(self) -> str:
        """The fingerprint of the trusted host key; "" for none."""
        return ssh_fingerprint(self.host_key)

    @property
    def sudo_rule(self) -> str:
        """The line for a file in /etc/sudoers.d; "" for root, which needs none."""
        if self.user == "root":
            return ""
        commands = ("/usr/bin/python3 -I -", "/usr/bin/python3 -I /var/lib/vpn-hub/agent/current.pyz session")
        return f"{self.user} ALL=(root) NOPASSWD: {', '.join(commands)}"
