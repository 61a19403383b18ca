"""Connections from jobs to servers."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import QuerySet

from portal.sealing import UnsealError
from vpn import failures
from vpn.choices import Driver as DriverName
from vpn.choices import ServerState
from vpn.drivers import registry
from vpn.drivers.base import AgentError, Driver, HubReport, ServerAddress, SshAddress, Unreachable
from vpn.drivers.registry import driver_at
from vpn.jobs.leases import lease_for
from vpn.models import Server, SshAccess

logger = logging.getLogger(__name__)


def driver_for(server: Server | None) -> Driver:
    """Return the driver of a server. Raises Unreachable if there is none, or if the server is not ready.

    A server that did not answer is asked again by its check alone (`vpn.jobs.availability`), so no other job waits.
    """
    if server is None:
        raise Unreachable(failures.NO_SERVER.of())
    if server.state in {ServerState.UNREACHABLE, ServerState.LOST}:
        raise Unreachable(failures.SERVER_UNREACHABLE.of())
    if server.state == ServerState.COMPROMISED:
        raise Unreachable(failures.SERVER_COMPROMISED.of())
    if server.state != ServerState.READY:
        raise Unreachable(failures.SERVER_NOT_PREPARED.of())
    driver = driver_at(address_of(server))
    driver.lease = lease_for(server)
    return driver


def address_of(server: Server) -> ServerAddress:
    """Return what a driver needs to reach a server. Raises UnsealError."""
    if server.region.driver == DriverName.LOCAL:
        return ServerAddress(id=server.pk, driver=server.region.driver)
    access = SshAccess.objects.filter(server=server).first()
    if access is None or not access.host_key:
        return ServerAddress(id=server.pk, driver=server.region.driver)
    ssh = SshAddress(access.user, access.host, access.port, access.host_key, access.private_key)
    return ServerAddress(id=server.pk, driver=server.region.driver, ssh=ssh, agent=access.agent)


def note_agent(server: Server | None, report: HubReport) -> None:
    """Record the version and the features of the agent that wrote a report, if they have changed."""
    told = {
        "agent_version": report.agent,
        "agent_schema": report.schema,
        "agent_features": list(report.features) or None,
    }
    if server is not None and any(getattr(server, name) != value for name, value in told.items()):
        for name, value in told.items():
            setattr(server, name, value)
        Server.objects.filter(pk=server.pk).update(**told)


def open_sessions() -> None:
    """Open a session in advance with each ready server that has none, so that no revocation need wait for it.

    Each has a thread of its own, and none is waited for: a slow server delays neither the others nor the first job.
    """
    there = registry.with_sessions()
    try:
        ready = _served().filter(state=ServerState.READY).values_list("pk", "ssh__agent")
        missing = [pk for pk, agent in ready if there.get(pk) != (agent or "")]
        servers = list(Server.objects.filter(pk__in=missing).select_related("region")) if missing else []
    except DatabaseError as error:
        logger.warning("Sessions with servers are opened later: %s", error)
        return
    for server in servers:
        threading.Thread(target=_open_session, args=(server,), name=f"session with {server.name}", daemon=True).start()


def _served() -> QuerySet[Server]:
    """The servers of the regions that this worker serves."""
    servers = Server.objects.all()
    return servers.filter(region__in=settings.WORKER_REGIONS) if settings.WORKER_REGIONS else servers


def _open_session(server: Server) -> None:
    try:
        driver_for(server).check()
    except (AgentError, Unreachable, UnsealError) as error:
        logger.warning("%s does not answer yet: %s", server.name, error)
    finally:
        connections.close_all()  # of this thread
