"""The steps of an instance that depend on a server ordered from a cloud. They only read rows (see `vpn.jobs.nodes`)."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext_noop

from portal.exceptions import Conflict
from portal.models import Principal
from portal.told import Told, told
from vpn import doorbell, failures
from vpn.actions.instances.placement import place_instance
from vpn.actions.servers.node import release_if_empty
from vpn.choices import NodeState, ServerState
from vpn.jobs.nodes import ports_in_use
from vpn.jobs.progress import StepWaits
from vpn.jobs.proving import StepFailed
from vpn.models import CloudNode, Preparation, Server
from vpn.wire.finding import Finding, parse_finding

_BY = Principal.portal(gettext_noop("removing a server that carries nothing"))
_NOT_READY = (ServerState.NEW, ServerState.PREPARING)


def placed_server(pk: UUID, *, by: Principal) -> Server:
    """Return the server of an instance, which is chosen or ordered now if it has none. Raises StepFailed."""
    try:
        instance = place_instance(pk, by=by)
    except Conflict as refusal:
        raise StepFailed(refusal.message) from refusal
    if instance.server is None:
        raise StepFailed(failures.REGION_WITHOUT_SERVER.of())
    return instance.server


def await_order(server: Server) -> Told:
    """Wait until the cloud has accepted the order; return what was ordered. Raises StepFailed or StepWaits."""
    node = _node_of(server)
    if node is None:
        return told("ordered-before", server=server.name)
    _refuse_failed(node)
    if not node.node_id:
        raise StepWaits
    account = node.account
    if account.location:
        return told("ordered-in", server=server.name, size=account.size, place=account.location)
    return told("ordered", server=server.name, size=account.size)


def await_boot(server: Server) -> Told | None:
    """Wait for the first connection; return where the server is reached. Raises StepFailed or StepWaits."""
    node = _node_of(server)
    if node is None:
        return None
    _refuse_failed(node)
    if node.state == NodeState.RUNNING:
        return told("booted", server=server.name, addresses=list(server.addresses))
    raise StepWaits


def await_preparation(server: Server) -> None:
    """Wait until a cloud's server is prepared and its ports are open. Raises StepFailed or StepWaits."""
    node = _node_of(server)
    if node is None:
        return
    _refuse_failed(node)
    if server.state in _NOT_READY:
        if Preparation.objects.filter(server=server, is_running=False).exists():
            raise StepFailed(_finding_in(server.state_reason))
        raise StepWaits
    _await_ports(node)


def _await_ports(node: CloudNode) -> None:
    if set(ports_in_use([node.server_id])[node.server_id]) <= set(node.opened):
        return
    if node.finding is not None and node.failures > 1:
        raise StepFailed(_finding_in(node.finding))
    doorbell.enqueue_node(node.server_id)
    raise StepWaits


def ends_with_server(server: Server) -> Told | None:
    """Return what became of a hub whose server ran nothing yet; None if the hub has to be removed from its server.

    Raises StepFailed while a server that does not answer is removed with the hub.
    """
    if server.state == ServerState.READY or _node_of(server) is None:
        return None
    if server.state in _NOT_READY:
        return told("server-not-ready")
    if release_if_empty(server.pk, by=_BY):
        raise StepFailed(failures.CLOUD_NODE_ENDING.of())
    return None


def _node_of(server: Server) -> CloudNode | None:
    return CloudNode.objects.select_related("account").filter(server=server).first()


def _refuse_failed(node: CloudNode) -> None:
    if node.state in {NodeState.FAILED, NodeState.REMOVING}:
        raise StepFailed(_finding_in(node.finding))


def _finding_in(document: object) -> Finding:
    return parse_finding(document) if document is not None else failures.SERVER_NOT_PREPARED.of()
