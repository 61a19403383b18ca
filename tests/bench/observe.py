"""`python -m tests.bench.observe INSTANCE`: how long it takes to look at a hub, as the worker does it.

Prints the medians of the agent's answer, of the whole job, and of noting down that every peer is connected and moved
bytes: made up, as thousands of clients fit on no machine.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from vpn.choices import Protocol  # noqa: E402
from vpn.jobs.observe import observe_server  # noqa: E402
from vpn.jobs.servers import driver_for  # noqa: E402
from vpn.models import Instance, InstanceObservation  # noqa: E402
from vpn.observed import record_observations  # noqa: E402
from vpn.wire.report import HubReport, SessionReport  # noqa: E402 - needs the settings

RUNS = 9


def seconds(action: Callable[[], object]) -> float:
    """Median of some runs, after one that warms up."""
    action()
    found = []
    for _ in range(RUNS):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return median(found)


def everybody_moves(instance: Instance, report: HubReport) -> Callable[[], None]:
    """Return what notes down a report in which every peer is connected, and has moved more bytes each time."""
    peers = [str(pk) for pk in instance.peers.filter(protocol=Protocol.OPENVPN).values_list("pk", flat=True)]
    moved = 0
    since = int(time.time()) - 60

    def record() -> None:
        nonlocal moved
        moved += 1_000
        sessions = {peer: SessionReport("203.0.113.5:1194", since, moved, moved, "udp") for peer in peers}
        record_observations({instance.pk: replace(report, sessions=sessions)})

    return record


def look(instance: Instance) -> None:
    """Do the job at which it is this hub's turn; all others of its server have just been looked at."""
    InstanceObservation.objects.note([instance.pk], looked_at=None)
    observe_server(str(instance.server_id))


def main(instance_id: str) -> None:
    """Measure and print."""
    instance = Instance.objects.select_related("server__region").get(pk=instance_id)
    driver = driver_for(instance.server)
    report = driver.status(instance.hub, peers=True)
    found = {
        "status": seconds(lambda: driver.status(instance.hub, peers=True)),
        "job": seconds(lambda: look(instance)),
        "everybody": seconds(everybody_moves(instance, report)),
    }
    look(instance)  # and nobody was connected
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
