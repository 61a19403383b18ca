"""Look at servers that are ordered from clouds: order, wait, connect, open ports, remove. Every look may be repeated.

One look makes a few calls, notes what it found, and sets when the next one is due; the schedule rings for it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Final
from uuid import UUID

from django.db.models import Case, Q, When
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from portal.sealing import UnsealError
from vpn import doorbell, failures
from vpn.actions.servers import node as rows
from vpn.actions.servers.preparation import begin_preparation
from vpn.choices import InstanceState, NodeState, ServerState
from vpn.drivers.base import Unreachable
from vpn.drivers.cloud.base import CloudError, CloudLogin, FoundNode, Order, Tag
from vpn.drivers.cloud.cloud import Cloud
from vpn.drivers.cloud.user_data import user_data
from vpn.drivers.ssh.rotation import made_host_key, use_host_key
from vpn.jobs.servers import address_of
from vpn.models import CloudAccount, CloudNode, Instance, Move, Preparation, RetiredHub, portal_tag
from vpn.models.peer import with_compat, with_openvpn
from vpn.wire.finding import Finding
from vpn.wire.preparing import HUB_PACKAGES

logger = logging.getLogger(__name__)
_BY: Final = Principal.portal(gettext_noop("ordering a server"))
_ENDING: Final = Principal.portal(gettext_noop("removing a server that carries nothing"))
_LEASE: Final = timedelta(seconds=45)  # longer than a job may run
_PAUSE: Final = timedelta(seconds=4)
_LONGEST_PAUSE: Final = timedelta(seconds=60)
# An order whose answer is not known is repeated, or taken as failed, only after the cloud had this time to list it.
_LISTED_WITHIN: Final = timedelta(seconds=60)
# After so many calls in a row without an answer, the instances fail and say so.
_MOST_FAILURES: Final = 12
# A node that is not reached over SSH after this time has failed.
_BOOTS_WITHIN: Final = timedelta(minutes=12)
_SSH: Final = "tcp/22"


def ring_for_nodes() -> None:
    """Ring for every node that is due, carries nothing any more, or whose open ports are not those in use."""
    now = timezone.now()
    free = CloudNode.objects.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=now))
    nodes = list(free.select_related("server").annotate(carries=Case(When(rows.carries(), then=1), default=0)))
    in_use = ports_in_use([node.server_id for node in nodes if node.state == NodeState.RUNNING])
    for node in nodes:
        if node.state != NodeState.REMOVING and not node.carries:
            rows.release_if_empty(node.server_id, by=_ENDING)
        elif node.look_at is not None and node.look_at > now:
            continue
        elif node.state == NodeState.RUNNING:
            if node.server.state == ServerState.NEW or node.opened != in_use[node.server_id]:
                doorbell.enqueue_node(node.server_id)
        elif node.state != NodeState.FAILED:
            doorbell.enqueue_node(node.server_id)


def ports_in_use(servers: Sequence[UUID]) -> dict[UUID, list[str]]:
    """By server, the ports of SSH and of the listeners that its hubs run, such as "udp/20000"; no query for none."""
    ports = {server: {_SSH} for server in servers}
    if not ports:
        return {}
    placed = Instance.objects.filter(server__in=servers).exclude(state=InstanceState.DELETING)
    hubs = [*placed.values_list("server", "pk", "port_base")]
    # Those that come by a move, and the ports that are forwarded to hubs that have moved.
    hubs += Move.objects.filter(target__in=servers).values_list("target", "instance", "port_base")
    moved = RetiredHub.objects.filter(server__in=servers, instance__isnull=False).exclude(forwards_to=[])
    hubs += moved.values_list("server", "instance", "port_base")
    ids = [pk for _, pk, _ in hubs]
    over_openvpn, compat = with_openvpn(ids), with_compat(ids)
    for server, pk, base in hubs:
        ports[server].add(f"udp/{base}")
        if pk in over_openvpn:
            ports[server] |= {f"{protocol}/{base + 1}" for protocol in ("udp", "tcp")}
        if pk in compat:
            ports[server].add(f"tcp/{base}")
    return {server: sorted(opened) for server, opened in ports.items()}


def look_at_node(server_id: str) -> None:
    """Take one look at a node, unless another worker does."""
    node = _claimed(UUID(server_id))
    if node is None:
        return
    before = _progress(node.pk)
    if node.attempt == 0 and rows.forget_unordered(node, by=_ENDING):
        return  # Nothing was ever sent. A refused order may have left a firewall.
    try:
        _LOOKS[node.state](node, Cloud(login_of(node.account)))
    except CloudError as error:
        _note_error(node, error)
    except UnsealError as error:
        _give_up(node, failures.SECRET_UNREADABLE.of(str(error).partition(" ")[0]))
    finally:
        held = CloudNode.objects.filter(pk=node.pk, lease_token=node.lease_token)
        held.update(lease_token=None, lease_expires_at=None)
    if _progress(node.pk) != before:
        waiting = Instance.objects.filter(server=node.server_id, state=InstanceState.PROVISIONING)
        for ids in waiting.values_list("pk", "organization", "region"):
            doorbell.enqueue_provision(*ids)


def login_of(account: CloudAccount) -> CloudLogin:
    """The settings and credentials of an account. Raises UnsealError."""
    return CloudLogin(
        account.provider,
        account.key,
        account.secret,
        location=account.location,
        endpoint=account.endpoint,
        network=account.network,
        project=account.project,
        domain=account.domain,
    )


def _claimed(server_id: UUID) -> CloudNode | None:
    token = uuid.uuid4()
    free = CloudNode.objects.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now()), server=server_id)
    if not free.update(lease_token=token, lease_expires_at=Now() + _LEASE, look_at=timezone.now() + _PAUSE):
        return None
    related = ("account", "server__region", "server__ssh")
    return CloudNode.objects.select_related(*related).filter(lease_token=token).first()


def _progress(pk: UUID) -> tuple[object, ...]:
    """What the steps of the server's instances wait for."""
    found = CloudNode.objects.filter(pk=pk)
    return tuple(found.values_list("state", "node_id", "opened", "server__address"))


def _order(node: CloudNode, cloud: Cloud) -> None:
    """Use the node that the cloud has for the request, else order one."""
    if rows.release_if_empty(node.server_id, by=_ENDING):
        return
    tag = tag_of(node)
    found = cloud.find(tag)
    if not found:
        if node.called_at is not None and node.called_at > timezone.now() - _LISTED_WITHIN:
            return  # The order may have had its effect.
        ports = _ports_of(node)
        if not rows.note_call(node, by=_BY):
            return
        order = Order(
            tag,
            node.attempt,
            node.account.size,
            node.account.image,
            _user_data(node),
            ports=ports,
            ssh_from=tuple(node.account.ssh_from),
        )
        try:
            found = [cloud.order(order)]
        except CloudError as error:
            _note_error(node, error, is_answered=error.is_certain)
            return
        rows.note_opened(node, ports, by=_BY)
    rows.note_node(node, found[0].node_id, by=_BY)


def _ports_of(node: CloudNode) -> list[str]:
    return ports_in_use([node.server_id])[node.server_id]


def tag_of(node: CloudNode) -> Tag:
    """The tag of a node."""
    return Tag(portal_tag(), node.pk)


def _user_data(node: CloudNode) -> str:
    access = node.server.ssh
    return user_data(
        account=access.user,
        authorized_key=access.authorized_key,
        sudo=access.sudo_rule.removeprefix(f"{access.user} "),
        host_key=node.host_key,
        public_host_key=access.host_key,
        packages=HUB_PACKAGES,
    )


def _boot(node: CloudNode, cloud: Cloud) -> None:
    """Wait for the node's address and its first connection; then let it be prepared."""
    if rows.release_if_empty(node.server_id, by=_ENDING):
        return
    if not node.server.addresses:
        found = cloud.find(tag_of(node))
        rows.note_answer(node, by=_BY)
        if not found:
            # Someone removed it, or it did not start: the next attempt orders another.
            rows.fail_node(node, failures.CLOUD_NODE_GONE.of(node.node_id), by=_BY)
        elif found[0].is_running and found[0].addresses:
            _note_addresses(node, found[0])
            doorbell.enqueue_node(node.server_id)
        elif _is_late(node):
            rows.fail_node(node, failures.CLOUD_NODE_SILENT.of(node.node_id), by=_BY)
        return
    try:
        _connect(node)
    except Unreachable as error:
        # The SSH server is not up yet, or cloud-init has not written its keys.
        logger.info("Cloud server %s is not ready for SSH yet: %s", node, error)
        if _is_late(node):
            rows.fail_node(node, failures.CLOUD_NODE_SILENT.of(node.server.address), by=_BY)
        return
    if node.state == NodeState.RUNNING:
        begin_preparation(node.server, by=_BY)


def _is_late(node: CloudNode) -> bool:
    return node.state_since < timezone.now() - _BOOTS_WITHIN


def _note_addresses(node: CloudNode, found: FoundNode) -> None:
    by_version = {ip_address(address).version: address for address in reversed(found.addresses)}
    first = by_version.get(4) or by_version[6]
    rows.note_address(node, first, by_version.get(6) if 4 in by_version else None, by=_BY)


def _connect(node: CloudNode) -> None:
    """Replace the host key of the user data. Raises Unreachable."""
    address = address_of(node.server).ssh
    if address is None:
        raise Unreachable(failures.SERVER_NOT_PREPARED.of())
    if not node.next_host_key:
        rows.note_next_host_key(node, made_host_key(address), by=_BY)
        node.refresh_from_db(fields=["next_host_key"])
    try:
        use_host_key(replace(address, host_key=node.next_host_key))
    except Unreachable:
        # It does not use the new key yet: over the former one, let it. The next look finds it with the new one.
        use_host_key(address)
        raise
    rows.note_connected(node, by=_BY)


def _run(node: CloudNode, cloud: Cloud) -> None:
    """Open exactly the ports in use; begin the preparation if a worker was killed before."""
    if node.server.state == ServerState.NEW and not Preparation.objects.filter(server=node.server_id).exists():
        begin_preparation(node.server, by=_BY)
    ports = _ports_of(node)
    if node.opened != ports:
        cloud.open_ports(tag_of(node), ports, node.account.ssh_from)
        rows.note_opened(node, ports, by=_BY)


def _remove(node: CloudNode, cloud: Cloud) -> None:
    """Remove whatever the cloud has for the request, and the rows once nothing is left."""
    if not cloud.remove(tag_of(node)):
        return
    if node.called_at is not None and node.called_at > timezone.now() - _LISTED_WITHIN:
        return  # An order may have had its effect, and not be listed yet.
    cloud.remove_group(tag_of(node))
    rows.forget_node(node, by=_ENDING)


def _rest(node: CloudNode, cloud: Cloud) -> None:
    """A failed order waits until someone tries again, or its last instance is deleted."""


def _note_error(node: CloudNode, error: CloudError, *, is_answered: bool = False) -> None:
    """Repeat a call that may succeed later; give an order up if it was refused, or a call about it."""
    logger.warning("Cloud server %s: %s", node, error)
    is_ordered = node.state in {NodeState.WANTED, NodeState.BOOTING}
    if is_ordered and (error.is_certain or node.failures + 1 >= _MOST_FAILURES):
        rows.fail_node(node, error.finding, by=_BY, is_answered=is_answered)
        return
    pause = min(_PAUSE * 2 ** min(node.failures, 6), _LONGEST_PAUSE)
    rows.note_failure(node, error.finding, pause, by=_BY)


def _give_up(node: CloudNode, finding: Finding) -> None:
    logger.error("Cloud server %s: %s", node, finding)
    rows.fail_node(node, finding, by=_BY, is_answered=False)
    rows.note_failure(node, finding, _LONGEST_PAUSE, by=_BY)


_LOOKS: Final[dict[str, Callable[[CloudNode, Cloud], None]]] = {
    NodeState.WANTED: _order,
    NodeState.BOOTING: _boot,
    NodeState.RUNNING: _run,
    NodeState.FAILED: _rest,
    NodeState.REMOVING: _remove,
}
