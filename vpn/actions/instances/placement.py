"""Which server of a region carries an instance."""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import Conflict
from portal.models import Principal
from vpn.actions.change import lock_instance
from vpn.actions.instances.ports import MOST_ON_SERVER, free_port_base
from vpn.actions.instances.retirement import remove_from
from vpn.actions.peers.certificates import issue_hub, shown_hosts
from vpn.actions.servers.node import order_node, with_open_order
from vpn.choices import Driver, InstanceState, NodeState, ServerState
from vpn.models import CloudAccount, Instance, Region, Server

_ATTEMPTS: Final = 5
_READY: Final = Q(state=ServerState.READY)
_GONE: Final = frozenset({ServerState.LOST, ServerState.COMPROMISED})
_PLACED: Final = (
    *("server", "port_base", "epoch"),
    *("server_certificate", "server_key_sealed", "certificate_hosts"),
)


def server_in(region: Region) -> Server | None:
    """The server for a region's next instance: the fullest one that is ready and has room; None if there is none.

    The region's servers stay locked until the transaction ends, so that none takes more than its capacity. In a cloud,
    a server that is being ordered counts too.
    """
    if region.driver == Driver.LOCAL:
        return region.servers.filter(cordoned=False).order_by("created_at").first()
    if region.driver != Driver.CLOUD:
        return with_room(region).first()
    # Locked, so that instances which are created at the same moment share an order.
    CloudAccount.objects.select_for_update(no_key=True).filter(region=region).first()
    return with_room(region).first() or with_room(region, with_open_order(region)).first()


def with_room(region: Region, usable: Q = _READY) -> QuerySet[Server]:
    """The servers of a region that are ready and have room for one more hub, the fullest first.

    All its servers stay locked until the transaction ends.
    """
    locked = list(region.servers.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    # A hub that is being moved there has its place already.
    carried = Count("instances", distinct=True) + Count("moves", distinct=True)
    counted = Server.objects.filter(usable, pk__in=locked, cordoned=False).annotate(carried=carried)
    has_room = (Q(capacity=None) | Q(carried__lt=F("capacity"))) & Q(carried__lt=MOST_ON_SERVER)
    # Staff may have uncordoned one that its cloud is about to remove.
    staying = counted.filter(has_room).exclude(node__state=NodeState.REMOVING)
    return staying.order_by("-carried", "created_at")


def place_instance(pk: UUID, *, by: Principal) -> Instance:
    """Place an instance that was never ready and has no server, or one that does not answer; else nothing changes.

    In a cloud, one is ordered. It keeps its ports unless another instance on the server has them. No profile was
    delivered before. Raises Conflict or UnsealError.
    """
    for _attempt in range(_ATTEMPTS):
        with suppress(IntegrityError):  # Another transaction took the port first.
            return _place(pk, by)
    raise Conflict(_("Other instances were placed at the same moment."), next_step=_("Please try again."))


def _place(pk: UUID, by: Principal) -> Instance:
    with transaction.atomic():
        instance = lock_instance(pk)
        if not needs_place(instance):
            return instance
        server = server_in(instance.region)
        may_come_back = instance.server is not None and instance.server.state not in _GONE
        if server is None and instance.region.driver == Driver.CLOUD and not may_come_back:
            server = order_node(instance.region, by=by)
        if server is not None:
            if instance.server is not None and instance.server.state != ServerState.COMPROMISED:
                # What was begun there is removed when it answers again.
                remove_from(instance.server, instance, instance.port_base, epoch=instance.epoch, by=by)
            if instance.server is not None:
                instance.epoch += 1
            instance.server = server
            instance.port_base = free_port_base(server, wanted=instance.port_base)
            if instance.has_certificates and instance.certificate_hosts != shown_hosts(instance):
                issue_hub(instance)
            instance.save(update_fields=_PLACED)
            acted(by, "placed", instance)
    return instance


def needs_place(instance: Instance) -> bool:
    """Return True if an instance that was never ready has no server, or one that does not answer."""
    if instance.configured or instance.state == InstanceState.DELETING:
        return False
    return instance.server is None or instance.server.state in {ServerState.UNREACHABLE, *_GONE}
