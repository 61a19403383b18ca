"""The move of an instance to another server, or its rebuilding, while it is under way."""

from __future__ import annotations

from django.db import models

from portal.sealing import Sealed
from vpn.models.instance import Instance
from vpn.models.operation import Operation
from vpn.models.server import Server


class Move(models.Model):
    """The hub that is being made on another server, until the instance switches to it.

    The row is there before anything is sent to `target`, and goes with the switch, or as a RetiredHub there if the move
    is cancelled or fails. So no hub is left that the database does not know.
    """

    instance = models.OneToOneField(Instance, on_delete=models.CASCADE, related_name="move", primary_key=True)
    operation = models.OneToOneField(Operation, on_delete=models.CASCADE, related_name="move")
    # The same as the instance's server if the hub is rebuilt in its place.
    target = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="moves")
    # The instance's ports on the target.
    port_base = models.PositiveIntegerField()
    # Higher than any epoch of the hub that another server knows.
    epoch = models.PositiveIntegerField()
    # The hub's certificate, which names the addresses of both servers; "" while OpenVPN has no certificates.
    server_certificate = models.TextField(blank=True)
    server_key_sealed = models.TextField(blank=True)
    certificate_hosts = models.CharField(max_length=400, blank=True)

    server_key = Sealed("server_key_sealed", lasting=False)

    def __str__(self) -> str:
        return f"move of {self.instance_id} to {self.target}"
