"""Draining a server: it takes no new hubs, and those that it has move to other servers of its region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from portal.exceptions import Conflict
from portal.models import Principal
from vpn.actions.instances.move import rebuild_instance
from vpn.actions.servers.server import cordon_server
from vpn.models import Instance, Server


@dataclass(frozen=True)
class Drained:
    """The hubs that begin to move, and by instance why others stay."""

    moving: tuple[Instance, ...]
    staying: Mapping[UUID, tuple[str, str]]


def drain_server(server: Server, *, by: Principal) -> Drained:
    """Cordon a server, and begin to move all its hubs; says which stay, by name and reason."""
    cordon_server(server, by=by)
    moving: list[Instance] = []
    staying: dict[UUID, tuple[str, str]] = {}
    for instance in (
        Instance.objects.filter(server=server).select_related("region", "organization").order_by("created_at")
    ):
        try:
            # With one change on trial after the other, a tenant could keep the operator from emptying a server.
            moving.append(rebuild_instance(instance, by=by, in_place=False, during_trial=True))
        except Conflict as refusal:
            staying[instance.pk] = (str(instance), refusal.message)
    return Drained(tuple(moving), staying)
