"""How jobs get to a server: by its row."""

from __future__ import annotations

import logging

from django.db import DatabaseError

from vpn.drivers.base import AgentError, Driver, HubReport, ServerAddress, Unreachable
from vpn.drivers.registry import driver_at
from vpn.models import Server

logger = logging.getLogger(__name__)


def driver_for(server: Server | None) -> Driver:
    """The driver that reaches a server; raises Unreachable for an instance without one, or an unknown driver."""
    if server is None:
        raise Unreachable("The hub has no server yet.")
    return driver_at(ServerAddress(id=server.pk, driver=server.region.driver))


def note_agent(server: Server | None, report: HubReport) -> None:
    """Note which agent wrote a report; nothing is written where that is known."""
    told = (report.agent, report.schema)
    if server is not None and (server.agent_version, server.agent_schema) != told:
        server.agent_version, server.agent_schema = told
        Server.objects.filter(pk=server.pk).update(agent_version=report.agent, agent_schema=report.schema)


def open_sessions() -> None:
    """Begin a session with each server, before the first revocation waits for that."""
    try:
        servers = list(Server.objects.select_related("region"))
    except DatabaseError as error:
        logger.warning("Sessions with servers are opened later: %s", error)
        return
    for server in servers:
        try:
            driver_for(server).check()
        except (AgentError, Unreachable) as error:
            logger.warning("%s does not answer yet: %s", server.name, error)
