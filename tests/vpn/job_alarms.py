"""Lets the alarm of a job that takes too long go off at each line of the job: `main`, in a process of its own.

It needs an empty database in DATABASE_URL, and Django set up. It first notes every line that runs in
Django's transaction code and in our own, then runs the job again once for each of them, with rq's exception raised
there. After each run another connection has to get the write lock at once, and the job, run again, has to do its work.
Prints what went wrong, then how many alarms went off; exits with 1 where anything went wrong.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from rq.timeouts import JobTimeoutException

from tests.factories import BY, make_client_peer, make_instance, make_member, make_organization
from tests.vpn.ssh_servers import make_server
from vpn.actions.change import Scope, changing
from vpn.actions.servers.compromise import report_compromised
from vpn.actions.servers.region import add_region
from vpn.jobs import apply, observe, reconcile
from vpn.jobs.compromise import go_on_renewing
from vpn.jobs.runtime.connections import end_connections
from vpn.models import CompromisedHub, Instance, InstanceObservation, Move, Operation, Tick
from vpn.wire.digests import digest
from vpn.wire.report import HubReport

Line = tuple[str, int]
_TRANSACTIONS = ("django/db/transaction.py", "django/db/backends/sqlite3/base.py", "django/db/backends/base/base.py")
_OURS = tuple(
    f"vpn/{name}.py"
    for name in ("jobs/apply", "jobs/observe", "jobs/reconcile", "observed/applied", "observed/recording")
)
_ACTIONS = (
    "vpn/jobs/lease.py",
    "vpn/jobs/progress.py",
    "vpn/actions/activity/operation.py",
    "vpn/actions/change.py",
)
# The other jobs try the lines of transactions and of leases.
_OF_ONE_JOB = {"compromise": ("vpn/jobs/compromise.py", "vpn/actions/instances/new_keys.py")}
WATCHED = (*_TRANSACTIONS, "django/db/backends/postgresql/base.py", *_OURS, *_ACTIONS)


@cache
def _is_watched(path: str) -> bool:
    """Is this file one whose lines are tried? Asked at each call of a function."""
    return path.endswith(_OF_ONE_JOB.get(sys.argv[1], WATCHED))


class Server:
    """Plays the server: confirms what it is sent. It must not be asked while the database is locked."""

    lease = None

    def apply(self, document: dict[str, Any], *, delta: bool, ahead: bool = False) -> HubReport:
        """Confirm."""
        return self._report(document["hub"], document, document["digest"] if delta else digest(document))

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport]:
        """Report what was confirmed."""
        return {hub: self._confirmed(hub) for hub in hubs}

    def _confirmed(self, hub: str) -> HubReport:
        assert not connection.in_atomic_block, "a transaction spans a call to the agent"
        row = Instance.objects.get(hub=hub)
        known = {"epoch": row.applied_epoch, "generation": row.applied_generation}
        return self._report(hub, known, row.applied_digest)

    def _report(self, hub: str, known: dict[str, Any], confirmed: str) -> HubReport:
        assert not connection.in_atomic_block, "a transaction spans a call to the agent"
        return HubReport(hub, known["epoch"], known["generation"], confirmed, True, 0.0)


class Alarm:
    """Notes the watched lines that run, and raises at one of them, as a signal handler would."""

    def __init__(self, at: Line | None = None) -> None:
        self.at = at
        self.seen: dict[Line, None] = {}
        self.went_off = False

    def trace(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        """sys.settrace's function."""
        if not _is_watched(frame.f_code.co_filename):
            return None
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            self.seen.setdefault(line)
            if line == self.at and not self.went_off:
                self.went_off = True
                raise JobTimeoutException
        return self.trace

    def run(self, job: Callable[[], None]) -> bool:
        """Run the job as the worker does; was it interrupted?"""
        interrupted = False
        sys.settrace(self.trace)
        try:
            job()
        except Exception:  # noqa: BLE001 - what cleans up after the alarm may fail in ways of its own
            assert self.went_off, "the job failed by itself"
            interrupted = True
        finally:
            sys.settrace(None)
        end_connections(interrupted=interrupted)
        return interrupted


def is_locked() -> bool:
    """Does any connection still hold a transaction open?"""
    if connection.vendor == "sqlite":
        other = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
        finally:
            other.close()
        return False
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other_pg:
        open_ones = other_pg.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in trans%'"
        ).fetchone()
    assert open_ones is not None
    return bool(open_ones[0])


def main(name: str) -> int:
    """Try a job at every line; 0 where all runs left the database free and did their work in the end."""
    call_command("migrate", interactive=False, verbosity=0)
    organization = make_organization()
    # There is no Redis here, and none is needed: a ring that fails is logged.
    instance = make_instance(organization)
    make_client_peer(instance, make_member(organization))
    server = Server()
    jobs: dict[str, Callable[[], None]] = {
        "apply": lambda: apply.apply_instance(str(instance.pk)),
        "observe": lambda: _observe(instance.server_id),
        "reconcile": _reconcile,
        "compromise": _renew,
    }
    with (
        patch("vpn.jobs.apply.driver_for", new=lambda _: server),
        patch("vpn.jobs.ahead.driver_for", new=lambda _: server),
        patch("vpn.jobs.observe.driver_for", new=lambda _: server),
    ):
        if name == "compromise":
            _compromise(instance)
        alarms, faults = _try(instance.pk, name, jobs[name])
    print("\n".join([*faults, f"{alarms} alarms"]))
    return 1 if faults or alarms < 30 else 0


def _observe(server_id: UUID | None) -> None:
    InstanceObservation.objects.update(looked_at=None)
    observe.observe_server(str(server_id))


def _try(pk: UUID, name: str, job: Callable[[], None]) -> tuple[int, list[str]]:
    """Run one job with an alarm at each of its lines; how many went off, and what went wrong."""
    faults: list[str] = []
    alarms = 0
    _ask_for_work(pk)
    every = Alarm()
    every.run(job)
    for line in every.seen:
        _ask_for_work(pk)
        alarms += Alarm(line).run(job)
        where = f"{name}, alarm at {Path(line[0]).name}:{line[1]}"
        if is_locked():
            # Nothing more can be tried: the next write would wait for it.
            return alarms, [*faults, f"{where}: the database stays locked"]
        # As once the lease has run out.
        Instance.objects.filter(pk=pk).update(lease_token=None, lease_expires_at=None)
        job()
        end_connections(interrupted=False)
        if name == "compromise" and (fault := _not_renewed(pk)):
            faults.append(f"{where}: {fault}")
        if name == "apply" and not Instance.objects.get(pk=pk).is_up_to_date:
            faults.append(f"{where}: the next run did not do the work")
    return alarms, faults


def _ask_for_work(pk: UUID) -> None:
    if CompromisedHub.objects.exists():
        Instance.objects.filter(pk=pk).update(lease_token=None, lease_expires_at=None)
        _begin_renewal(pk)
        return
    Instance.objects.filter(pk=pk).update(lease_token=None, lease_expires_at=None, retry_at=None)
    InstanceObservation.objects.update(verify_at=None)
    with changing(pk, scope=Scope.PEERS, by=BY):
        pass


def _compromise(instance: Instance) -> None:
    """Report the instance's server, where the region has another one."""
    region = add_region("fra", "Frankfurt", by=BY)
    bad, _ = make_server(region, "fra1"), make_server(region, "fra2", number=8)
    Instance.objects.filter(pk=instance.pk).update(server=bad, region=region)
    report_compromised(bad, "fra1", by=BY)


def _renew() -> None:
    go_on_renewing(str(CompromisedHub.objects.get().pk))


def _begin_renewal(pk: UUID) -> None:
    """As when the server has just been reported."""
    Move.objects.all().delete()
    Operation.objects.all().delete()
    CompromisedHub.objects.update(keys_at=None, last_peer=None, peers_at=None)
    former.clear()
    former.update(_keys(pk))


former: set[str] = set()


def _keys(pk: UUID) -> set[str]:
    instance = Instance.objects.get(pk=pk)
    return {instance.public_key, *(peer.preshared_key for peer in instance.peers.all())}


def _not_renewed(pk: UUID) -> str:
    """What the job, run again, did not do; "" if it did all."""
    if former & _keys(pk):
        return "a key is the former one"
    if CompromisedHub.objects.get().peers_at is None:
        return "not all peers are noted"
    return "" if Move.objects.filter(instance=pk).exists() else "the hub is not being built anew"


def _reconcile() -> None:
    Tick.objects.all().delete()
    reconcile.reconcile_all()
