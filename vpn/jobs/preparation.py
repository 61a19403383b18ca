"""Prepare servers in steps, and look at the host keys that they show. Every step may be repeated."""

from __future__ import annotations

import logging
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from portal.sealing import UnsealError
from vpn import doorbell, failures
from vpn.actions.servers.preparation import conclude_preparation, note_installed, note_lines
from vpn.actions.servers.server import note_host_key
from vpn.drivers.base import AgentError, Unreachable
from vpn.drivers.registry import driver_at
from vpn.drivers.ssh.host_key import seen_host_key
from vpn.drivers.ssh.preparation import look
from vpn.jobs.servers import address_of
from vpn.models import Preparation, Server
from vpn.wire import preparing
from vpn.wire.finding import Finding
from vpn.wire.preparing import Line
from vpn.wire.version import agent_version

logger = logging.getLogger(__name__)
_BY = Principal.portal(gettext_noop("preparing the server"))


def prepare_server(server_id: str) -> None:
    """Continue a server's preparation; ring again while a step runs on the server."""
    if continue_preparation(UUID(server_id)):
        doorbell.enqueue_prepare(UUID(server_id))


def continue_preparation(server_id: UUID) -> bool:
    """Take one look, and record its lines; return True if another one is needed."""
    preparation = _running(server_id)
    if preparation is None:
        return False
    lines = _lines(preparation)
    last = lines[-1]
    if last.step == preparing.WATCH and last.state == preparing.DONE:
        note_installed(preparation.server, agent_version(), by=_BY)
        preparation.server.ssh.agent = agent_version()
        lines.append(_answer(preparation.server))
    note_lines(preparation, lines, by=_BY)
    if lines[-1].step == preparing.ANSWER and lines[-1].state == preparing.DONE:
        conclude_preparation(preparation, by=_BY)
    return lines[-1].state == preparing.RUNNING


def _running(server_id: UUID) -> Preparation | None:
    """Return the running preparation of a server, and note that it is continued now; None if there is none."""
    running = Preparation.objects.select_related("server__region", "server__ssh").filter(is_running=True)
    preparation = running.filter(server=server_id).first()
    if preparation is not None:
        Preparation.objects.filter(pk=preparation.pk).update(continued_at=timezone.now())
    return preparation


def _lines(preparation: Preparation) -> list[Line]:
    try:
        address = address_of(preparation.server)
    except UnsealError as error:
        return [_failed(preparing.CONNECT, failures.SECRET_UNREADABLE.of(str(error).partition(" ")[0]))]
    if address.ssh is None:
        return [_failed(preparing.CONNECT, failures.SERVER_NOT_PREPARED.of())]
    return look(address.ssh, str(preparation.attempt))


def _answer(server: Server) -> Line:
    """The agent's answer over a session, as workers open them."""
    try:
        driver_at(address_of(server)).check()
    except (AgentError, Unreachable) as error:
        return _failed(preparing.ANSWER, error.finding or failures.AGENT_SILENT.of())
    return Line(preparing.ANSWER, preparing.DONE, agent_version())


def _failed(step: str, finding: Finding) -> Line:
    return Line(step, preparing.FAILED, finding=finding)


def look_at_host_key(server_id: str) -> None:
    """Record the host key that the server shows now."""
    server = Server.objects.select_related("ssh").filter(pk=UUID(server_id), ssh__isnull=False).first()
    if server is not None:
        note_host_key(server, seen_host_key(server.ssh.host, server.ssh.port), by=_BY)
