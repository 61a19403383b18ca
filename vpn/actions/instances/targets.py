"""The server and the ports for a hub that leaves its server: chosen in one place."""

from __future__ import annotations

from dataclasses import dataclass

from portal.exceptions import Conflict, NotPossible
from vpn.actions.instances.placement import with_room
from vpn.actions.instances.ports import free_port_base
from vpn.choices import ServerState
from vpn.models import Instance, Region, Server


@dataclass(frozen=True)
class Target:
    """A server for a hub, and its ports there."""

    server: Server
    port_base: int


def other_server(instance: Instance, region: Region) -> Target | None:
    """Another server of a region for an instance's hub; None if none is ready and has room.

    A server where the hub's ports are free comes before others, then the fullest. Where they are taken on all, the hub
    gets other ports. The region's servers stay locked until the transaction ends.
    """
    forwarding = instance.retired_hubs.exclude(forwards_to=[]).values("server")
    candidates = [one for one in with_room(region).exclude(pk__in=forwarding) if one.pk != instance.server_id]
    targets = (Target(server, free_port_base(server, wanted=instance.port_base, of=instance)) for server in candidates)
    return min(targets, key=lambda target: target.port_base != instance.port_base, default=None)


def same_server(instance: Instance) -> Target | None:
    """The instance's own server, to build its hub anew there; None if it is not ready."""
    server = instance.server
    if server is None or server.state != ServerState.READY:
        return None
    return Target(server, instance.port_base)


def target_in(instance: Instance, region: Region) -> Target:
    """As `other_server`; raises Conflict, and says what to do."""
    if (target := other_server(instance, region)) is not None:
        return target
    forwarding = instance.retired_hubs.exclude(forwards_to=[]).filter(server__region=region).select_related("server")
    if (retired := forwarding.first()) is not None:
        raise NotPossible(
            f"{retired.server.name} still forwards this hub's ports to where it runs now.",
            next_step="End the forwarding on the Settings page first, or choose another region.",
        )
    raise Conflict(
        f"{region.name} has no other server that is ready and has room.",
        field="region",
        code="no-server",
        next_step="Choose another region, or ask the operator.",
    )
