"""The server and the ports for a hub that leaves its server: chosen in one place."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from portal.exceptions import Conflict, NotPossible
from portal.models import Principal
from portal.told import told
from vpn.actions.instances.placement import with_room
from vpn.actions.instances.ports import free_port_base
from vpn.actions.servers.node import order_node, with_open_order
from vpn.choices import Driver, ServerState
from vpn.models import CloudAccount, Instance, Region, Server


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


def target_in(instance: Instance, region: Region, *, by: Principal) -> Target:
    """As `other_server`; in a cloud, a server is ordered if none has room. Raises Conflict, and says what to do."""
    if (target := other_server(instance, region)) is not None:
        return target
    if region.driver == Driver.CLOUD:
        return _ordered(instance, region, by)
    forwarding = instance.retired_hubs.exclude(forwards_to=[]).filter(server__region=region).select_related("server")
    if (retired := forwarding.first()) is not None:
        raise NotPossible(
            _("%(server)s still forwards this hub's ports to where it runs now.") % {"server": retired.server.name},
            next_step=_("End the forwarding on the Settings page first, or choose another region."),
            told=told("still-forwards", server=retired.server.name),
        )
    raise Conflict(
        _("%(region)s has no other server that is ready and has room.") % {"region": region.name},
        field="region",
        code="no-server",
        next_step=_("Choose another region, or ask the operator."),
        told=told("no-other-server", region=region.name),
    )


def _ordered(instance: Instance, region: Region, by: Principal) -> Target:
    """Return a server of a cloud that is being ordered, or order one."""
    # Locked, as by placement, so that hubs which leave at the same moment share an order.
    CloudAccount.objects.select_for_update(no_key=True).filter(region=region).first()
    coming = with_room(region, with_open_order(region))
    server = next((one for one in coming if one.pk != instance.server_id), None) or order_node(region, by=by)
    return Target(server, free_port_base(server, wanted=instance.port_base, of=instance))
