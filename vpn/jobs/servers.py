"""Connections from jobs to servers."""

from __future__ import annotations

import logging
import threading

from django.db import DatabaseError

from vpn import failures
from vpn.drivers.base import AgentError, Driver, HubReport, ServerAddress, Unreachable
from vpn.drivers.registry import driver_at
from vpn.models import Server

logger = logging.getLogger(__name__)


def driver_for(server: Server | None) -> Driver:
    """Return the driver of a server. Raises Unreachable if there is no server or its driver is unknown."""
    if server is None:
        raise Unreachable(failures.NO_SERVER.of())
    return driver_at(ServerAddress(id=server.pk, driver=server.region.driver))


def note_agent(server: Server | None, report: HubReport) -> None:
    """Record the version of the agent that wrote a report, if it has changed."""
    told = (report.agent, report.schema)
    if server is not None and (server.agent_version, server.agent_schema) != told:
        server.agent_version, server.agent_schema = told
        Server.objects.filter(pk=server.pk).update(agent_version=report.agent, agent_schema=report.schema)


def open_sessions() -> None:
    """Open a session with each server in advance, so that the first revocation need not wait for it.

    Each has a thread of its own, and none is waited for: a slow server delays neither the others nor the first job.
    """
    try:
        servers = list(Server.objects.select_related("region"))
    except DatabaseError as error:
        logger.warning("Sessions with servers are opened later: %s", error)
        return
    for server in servers:
        threading.Thread(target=_open_session, args=(server,), name=f"session with {server.name}", daemon=True).start()


def _open_session(server: Server) -> None:
    try:
        driver_for(server).check()
    except (AgentError, Unreachable) as error:
        logger.warning("%s does not answer yet: %s", server.name, error)
