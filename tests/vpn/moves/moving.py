"""What tests of moves share: servers that answer, and the jobs as reconcile rings for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from tests.vpn.moves.machines import Machine
from vpn.jobs import move as job
from vpn.jobs import retirement
from vpn.models import Instance, Operation, Region, RetiredHub, Server


class Servers:
    """The servers of the test by name, and what the portal knows of them."""

    def __init__(self) -> None:
        self.machines: dict[UUID, Machine] = {}
        self.rows: dict[str, Server] = {}

    def add(self, name: str, region: Region, address: str) -> Machine:
        """Add a server that is ready."""
        row = Server.objects.create(region=region, name=name, address=address)
        self.rows[name] = row
        self.machines[row.pk] = Machine(name)
        return self.machines[row.pk]

    def __getitem__(self, name: str) -> Machine:
        return self.machines[self.rows[name].pk]

    def answering(self, hub: str) -> list[str]:
        """The servers on which a hub runs."""
        return [machine.name for machine in self.machines.values() if hub in machine.hubs]


def go_on(instance: Instance) -> Operation:
    """Run the job until the operation has ended, as reconcile rings for it."""
    for _ in range(12):
        job.go_on_moving(str(instance.pk))
        operation = instance.operations.filter(kind__in=["move", "rebuild"]).first()
        assert operation is not None
        if operation.is_finished:
            instance.refresh_from_db()
            return operation
    raise AssertionError("it does not end")


def go_on_until(instance: Instance, reached: Callable[[], bool]) -> None:
    """Run the job, one step at a time, until this holds."""
    for _ in range(12):
        if reached():
            return
        job.go_on_moving(str(instance.pk))
    raise AssertionError("it does not get so far")


def look(**due: Any) -> None:
    """Look at all retired hubs now."""
    RetiredHub.objects.update(due_at=timezone.now() - timedelta(seconds=1), **due)
    for retired in RetiredHub.objects.all():
        retirement.look_at_retired(str(retired.pk))
