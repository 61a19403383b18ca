"""Leases of hubs, in regions where hubs of a lost server are built anew elsewhere (`vpn.wire.lease`).

Each answer of an agent tells the clock of its server. The end of the next lease follows from it, and is recorded before
it is granted: by the server's clock, and as a time by which it has surely passed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Now

from vpn.choices import Driver as DriverName
from vpn.choices import ServerState
from vpn.drivers.base import AgentError, Driver, HubReport, Unreachable
from vpn.models import Instance, InstanceObservation, Server
from vpn.wire.lease import Moment, parse_moment

# The agent takes several hubs down one after the other.
_MARGIN: Final = 10.0  # seconds
# Two clocks may run a little differently.
_DRIFT: Final = 0.001
Answers: TypeAlias = dict[str, HubReport | AgentError | Unreachable]


def lease_for(server: Server) -> Moment | None:
    """Return the end of the lease that the server's hubs may have now; None if they have none."""
    return parse_moment(server.lease) if server.region.rebuild_lost else None


def note_clock(server: Server, now: Moment | None) -> None:
    """Record how long leases may become, from the clock that the server's agent has just told.

    A lost server gets no longer leases. Without a clock there is no lease.
    """
    rows = Server.objects.filter(pk=server.pk)
    if not server.region.rebuild_lost:
        if server.lease is not None:
            rows.update(lease=None)
        return
    if now is None:
        return
    seconds = server.region.lost_seconds
    ends = Now() + timedelta(seconds=seconds * (1 + _DRIFT) + _MARGIN)
    rows.filter(state__in=[ServerState.READY, ServerState.UNREACHABLE]).update(
        lease=now.later(seconds).document(),
        lease_ends_at=Greatest(Coalesce(F("lease_ends_at"), ends), ends),
    )


def note_leased(instance_ids: Collection[UUID], server_id: UUID | None) -> None:
    """Record that these hubs were given a lease on a server; None: that they are about to lose it."""
    known = dict(InstanceObservation.objects.filter(pk__in=instance_ids).values_list("pk", "leased_on"))
    if changed := [pk for pk in instance_ids if known.get(pk) != server_id]:
        InstanceObservation.objects.note(changed, leased_on=server_id)


def observe_on_leases(
    driver: Driver, instances: Sequence[Instance], known: Mapping[str, str], seconds: float
) -> Answers:
    """Query hubs of one server (`Driver.observe`), and record which have a lease. Raises AgentError, Unreachable.

    A lease that ends is recorded before the query, a new one after it: the job may be killed in between.
    """
    server, ids = instances[0].server, [instance.pk for instance in instances]
    if server is None or server.region.driver == DriverName.LOCAL:
        return driver.observe(known, seconds)
    if driver.lease is None:
        note_leased(ids, None)
    answers = driver.observe(known, seconds)
    note_clock(server, driver.clock)
    # An agent that tells no clock is of the release before, and knows no leases.
    if driver.lease is not None and driver.clock is not None:
        note_leased(ids, server.pk)
    return answers


def renew_lease(driver: Driver, server: Server) -> None:
    """Ask the server for its clock, so that the next request grants a longer lease. Raises AgentError, Unreachable."""
    driver.check()
    note_clock(server, driver.clock)
    server.refresh_from_db(fields=["lease"])
    driver.lease = lease_for(server)


def may_run_without_answer(instance: Instance) -> bool:
    """Return True while an instance's server does not answer, and its hub may still run there on a lease."""
    server = instance.server
    if server is None or server.state == ServerState.READY or server.lease_ends_at is None:
        return False
    return Server.objects.filter(pk=server.pk, lease_ends_at__gte=Now()).exists()
