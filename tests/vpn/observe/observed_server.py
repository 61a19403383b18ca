"""A server whose hubs are observed, and the turn of a hub."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from django.utils import timezone

from tests.factories import observe_hubs
from vpn import failures
from vpn.drivers.base import Unreachable
from vpn.jobs.observe import observe_server
from vpn.models import Instance
from vpn.wire.lease import Moment
from vpn.wire.report import HubReport


@dataclass
class Server:
    """Plays the server; `meanwhile` is called while it is asked."""

    report: HubReport
    meanwhile: Callable[[], object] = lambda: None
    # The hubs in the order in which it got to them, and the number of requests.
    asked: list[str] = field(default_factory=list)
    requests: int = 0
    # The hubs of the last request, each with the stamp of the report that the portal has recorded.
    known: dict[str, str] = field(default_factory=dict)
    # Hubs whose report is not valid.
    odd: set[str] = field(default_factory=set)
    lease: Moment | None = None
    clock: Moment | None = None

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport | Unreachable]:
        """The reports of what it runs, until the time is over."""
        self.requests += 1
        self.known = dict(hubs)
        ends = time.monotonic() + seconds
        answers: dict[str, HubReport | Unreachable] = {}
        for hub in hubs:
            if answers and time.monotonic() > ends:
                break
            self.asked.append(hub)
            self.meanwhile()
            is_odd = hub in self.odd
            answers[hub] = Unreachable(failures.REPORT_INVALID.of()) if is_odd else replace(self.report, hub=hub)
        return answers


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
