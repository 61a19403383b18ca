"""Servers that are ordered from a cloud: the rows of an order, from before the call to after the removal.

The row of a request is committed before the first call, and kept until the cloud has nothing with its tag any more.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import Conflict
from portal.models import Principal
from portal.told import told
from vpn import doorbell
from vpn.choices import InstanceState, NodeState, ServerState
from vpn.keys import generate_ssh_key
from vpn.models import (
    CloudAccount,
    CloudNode,
    CompromisedHub,
    Instance,
    Move,
    Preparation,
    Region,
    RetiredHub,
    Server,
    SshAccess,
)
from vpn.wire.finding import Finding

# The account on the node, which the user data makes. It has one rule for sudo.
ACCOUNT: Final = "vpn-portal"
_SHORT: Final = 8


def order_node(region: Region, *, by: Principal) -> Server:
    """Add the rows of a server to be ordered, and let a worker order it. Raises Conflict without a cloud account.

    Runs in the transaction that places an instance on the server.
    """
    account = CloudAccount.objects.filter(region=region).first()
    if account is None:
        raise Conflict(
            _("%(region)s has no cloud account.") % {"region": region.name},
            next_step=_("Ask the operator to add one."),
            told=told("no-cloud-account", region=region.name),
        )
    now, request = timezone.now(), uuid.uuid4()
    server = Server.objects.create(
        region=region,
        name=f"{region.pk}-{request.hex[:_SHORT]}",
        capacity=account.capacity,
        state=ServerState.NEW,
        state_since=now,
    )
    private, public = generate_ssh_key()
    host_key, public_host_key = generate_ssh_key()
    # The host is not known yet.
    access = SshAccess(server=server, user=ACCOUNT, host="", public_key=public, host_key=public_host_key)
    access.private_key = private
    access.save(force_insert=True)
    node = CloudNode(id=request, server=server, account=account, state_since=now, look_at=now)
    node.host_key = host_key
    node.save(force_insert=True)
    acted(by, "ordered", server)
    transaction.on_commit(partial(doorbell.enqueue_node, server.pk))
    return server


def with_open_order(region: Region) -> Q:
    """Matches the servers of a region that are being ordered or prepared, and have not failed."""
    failed = Preparation.objects.filter(is_running=False).values("server")
    coming = Q(state__in=[ServerState.NEW, ServerState.PREPARING]) & ~Q(pk__in=failed)
    return coming & Q(node__state__in=[NodeState.WANTED, NodeState.BOOTING, NodeState.RUNNING])


def note_call(node: CloudNode, *, by: Principal) -> bool:
    """Record that an order is about to be sent; False if it is not wanted any more."""
    wanted = CloudNode.objects.filter(pk=node.pk, state=NodeState.WANTED)
    if wanted.update(called_at=timezone.now()):
        acted(by, "called", node)
        return True
    return False


def note_node(node: CloudNode, node_id: str, *, by: Principal) -> None:
    """Record the node that the cloud has for a request. Another one than before has another address."""
    with transaction.atomic():
        if CloudNode.objects.filter(pk=node.pk).exclude(node_id=node_id).update(next_host_key=""):
            Server.objects.filter(pk=node.server_id).update(address=None, address_v6=None)
        CloudNode.objects.filter(pk=node.pk).update(node_id=node_id[:200], called_at=None)
        _become(node, NodeState.WANTED, NodeState.BOOTING, by)


def note_address(node: CloudNode, address: str, address_v6: str | None, *, by: Principal) -> None:
    """Record where the server is reached."""
    with transaction.atomic():
        Server.objects.filter(pk=node.server_id).update(address=address, address_v6=address_v6)
        SshAccess.objects.filter(server=node.server_id).update(host=address)
        acted(by, "address noted", node)


def note_next_host_key(node: CloudNode, host_key: str, *, by: Principal) -> None:
    """Record the host key that the server made, before it uses it."""
    with transaction.atomic():
        CloudNode.objects.filter(pk=node.pk).update(next_host_key=host_key)
        acted(by, "host key made", node)


def note_connected(node: CloudNode, *, by: Principal) -> None:
    """Record that the server uses its own host key: the one of the user data is not trusted any more."""
    with transaction.atomic():
        key = node.next_host_key
        SshAccess.objects.filter(server=node.server_id).update(host_key=key, seen_host_key=key)
        CloudNode.objects.filter(pk=node.pk).update(host_key_sealed="", next_host_key="")
        _become(node, NodeState.BOOTING, NodeState.RUNNING, by)


def note_opened(node: CloudNode, ports: list[str], *, by: Principal) -> None:
    """Record the ports that are open in the provider's firewall."""
    with transaction.atomic():
        CloudNode.objects.filter(pk=node.pk).update(opened=ports, finding=None, failures=0)
        acted(by, "ports opened", node)


def note_answer(node: CloudNode, *, by: Principal) -> None:
    """Record that the cloud answers again."""
    if CloudNode.objects.filter(pk=node.pk, finding__isnull=False).update(finding=None, failures=0):
        acted(by, "call answered", node)


def note_failure(node: CloudNode, finding: Finding, pause: timedelta, *, by: Principal) -> None:
    """Record why a call failed, after which it is repeated. A removal that has nothing to remove ends instead."""
    if forget_unordered(node, by=by):
        return
    with transaction.atomic():
        locked = CloudNode.objects.select_for_update(no_key=True).filter(pk=node.pk).first()
        if locked is None:
            return
        locked.finding, locked.failures = finding.document(), min(locked.failures + 1, 1000)
        locked.look_at = timezone.now() + pause
        locked.save(update_fields=["finding", "failures", "look_at"])
        acted(by, "call failed", node)


def fail_node(node: CloudNode, finding: Finding, *, by: Principal, is_answered: bool = True) -> None:
    """Give an order up: its instances fail with the reason, until someone tries again.

    `is_answered` is false if the finding says nothing about an order that was sent, which may still have an effect.
    """
    with transaction.atomic():
        if is_answered:
            CloudNode.objects.filter(pk=node.pk).update(called_at=None, attempt=F("attempt") + 1)
        CloudNode.objects.filter(pk=node.pk).update(finding=finding.document())
        for former in (NodeState.WANTED, NodeState.BOOTING):
            _become(node, former, NodeState.FAILED, by)


def retry_node(server: Server, *, by: Principal) -> None:
    """Try a failed order or preparation again, under the same request: what the cloud has for it is used."""
    from vpn.actions.servers.preparation import begin_preparation  # it knows instances, and they know orders

    node = CloudNode.objects.filter(server=server).first()
    if node is None:
        return
    with transaction.atomic():
        _become(node, NodeState.FAILED, NodeState.WANTED, by)
        CloudNode.objects.filter(pk=node.pk).update(finding=None, failures=0, look_at=timezone.now())
    failed = Preparation.objects.filter(server=server, is_running=False).exists()
    if node.state == NodeState.RUNNING and server.state == ServerState.PREPARING and failed:
        begin_preparation(server, by=by)


def carries() -> Q:
    """Matches nodes whose server carries a hub that stays, gets one by a move, or forwards to one that has moved."""
    stays = Instance.objects.filter(server=OuterRef("server")).exclude(state=InstanceState.DELETING)
    comes = Move.objects.filter(target=OuterRef("server"))
    moved = RetiredHub.objects.filter(server=OuterRef("server"), instance__isnull=False).exclude(forwards_to=[])
    # The row goes with the server, and says which keys are still to be replaced.
    waits = CompromisedHub.objects.filter(server=OuterRef("server"), finished_at=None)
    waits = waits.exclude(instance__state=InstanceState.DELETING)
    return Q(Exists(stays)) | Q(Exists(comes)) | Q(Exists(moved)) | Q(Exists(waits))


def release_if_empty(server_id: uuid.UUID | None, *, by: Principal) -> bool:
    """Let a cloud's server be removed if it carries nothing that stays; return True if it is being removed."""
    if server_id is None or not CloudNode.objects.filter(server=server_id).exists():
        return False
    with transaction.atomic():
        # Placement takes the same lock.
        Server.objects.select_for_update(no_key=True).get(pk=server_id)
        node = CloudNode.objects.get(server=server_id)
        if CloudNode.objects.filter(carries(), pk=node.pk).exists():
            return False
        for former in (NodeState.WANTED, NodeState.BOOTING, NodeState.RUNNING, NodeState.FAILED):
            _become(node, former, NodeState.REMOVING, by)
        Server.objects.filter(pk=server_id).update(cordoned=True)
    return True


def forget_node(node: CloudNode, *, by: Principal) -> None:
    """Delete the rows of a server that the cloud has removed, with its keys. Hubs that ended with it have none now."""
    with transaction.atomic():
        acted(by, "removed", node)
        Instance.objects.filter(server=node.server_id, state=InstanceState.DELETING).update(server=None)
        Server.objects.filter(pk=node.server_id).delete()


def forget_unordered(node: CloudNode, *, by: Principal) -> bool:
    """Delete the rows of a server to be removed if its cloud surely has no node; return True if so."""
    if node.state != NodeState.REMOVING:
        return False
    with transaction.atomic():
        ending = CloudNode.objects.select_for_update().filter(pk=node.pk, state=NodeState.REMOVING)
        if not ending.filter(node_id="", called_at=None):
            return False
        forget_node(node, by=by)
    return True


def _become(node: CloudNode, former: str, state: str, by: Principal) -> bool:
    """Change the state, guarded by the former one, and let a worker look at once."""
    now = timezone.now()
    moved = CloudNode.objects.filter(pk=node.pk, state=former)
    if not moved.update(state=state, state_since=now, look_at=now, failures=0):
        return False
    node.state = state
    if state != NodeState.FAILED:
        CloudNode.objects.filter(pk=node.pk).update(finding=None)
    acted(by, f"became {state}", node)
    transaction.on_commit(partial(doorbell.enqueue_node, node.server_id))
    return True
