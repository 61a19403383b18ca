"""A server whose hubs are observed, and the turn of a hub."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from tests.factories import observe_hubs
from vpn.jobs.observe import observe_server
from vpn.models import Instance
from vpn.wire.report import HubReport


@dataclass
class Server:
    """Plays the server; `meanwhile` is called while it is asked."""

    report: HubReport
    meanwhile: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """The report of what it runs."""
        self.asked.append(hub)
        self.meanwhile()
        return self.report


def look_at(instance: Instance) -> None:
    """Observe the hub now."""
    observe_hubs(instance, looked_at=None)
    observe_server(str(instance.server_id))


def applied_generation(instance: Instance) -> int:
    look_at(instance)
    return Instance.objects.get(pk=instance.pk).applied_generation


def claim(instance: Instance, time_left: timedelta) -> None:
    rows = Instance.objects.filter(pk=instance.pk)
    rows.update(lease_token=uuid.uuid4(), lease_expires_at=timezone.now() + time_left)
