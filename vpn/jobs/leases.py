"""Leases of hubs, in regions where hubs of a lost server are built anew elsewhere (`vpn.wire.lease`).

Each answer of an agent tells the clock of its server. The end of the next lease follows from it, and is recorded before
it is granted: by the server's clock, and as a time by which it has surely passed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Now

from vpn.choices import ServerState
from vpn.drivers.base import Driver
from vpn.models import Instance, Server
from vpn.wire.lease import Moment, parse_moment

# The agent takes several hubs down one after the other.
_MARGIN: Final = 10.0  # seconds
# Two clocks may run a little differently.
_DRIFT: Final = 0.001


def lease_for(server: Server) -> Moment | None:
    """Return the end of the lease that the server's hubs may have now; None if they have none."""
    return parse_moment(server.lease) if server.region.rebuild_lost else None


def note_clock(server: Server, now: Moment | None, *, leased: bool | None = None) -> None:
    """Record how long leases may become, from the clock that the server's agent has just told.

    `leased` says whether an observation gave its hubs a lease or ended theirs; None if no hub was observed.
    A lost server gets no longer leases. An agent that tells no clock is of the release before, and knows no leases.
    """
    rows = Server.objects.filter(pk=server.pk)
    if not server.region.rebuild_lost:
        if server.lease is not None:
            rows.update(lease=None, leased_since=None)
        return
    if now is None:
        return
    if leased is False:
        # Even of a lost server. Several jobs observe its hubs, and one may have read its row before the first lease.
        rows.update(leased_since=None)
    seconds = server.region.lost_seconds
    ends = Now() + timedelta(seconds=seconds * (1 + _DRIFT) + _MARGIN)
    since = {"leased_since": Coalesce(F("leased_since"), Now())} if leased else {}
    rows.filter(state__in=[ServerState.READY, ServerState.UNREACHABLE]).update(
        lease=now.later(seconds).document(),
        lease_ends_at=Greatest(Coalesce(F("lease_ends_at"), ends), ends),
        **since,
    )


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
