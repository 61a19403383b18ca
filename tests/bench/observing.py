"""`python -m tests.bench.observing [sqlite]`: what observing costs the portal: 1,000 hubs, one of them of 10,000 peers.

Prints the median time and the number of queries of ringing, of recording the largest hub where six peers of ten moved
bytes, and of observing all hubs with an agent that takes 12 ms a hub.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median
from unittest.mock import patch

from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.bench import scale
from tests.bench.figures import say_where
from tests.bench.population import Populating, Population, Size
from vpn.jobs import observe
from vpn.models import InstanceObservation, Tick
from vpn.observed import record_observations
from vpn.wire.report import HubReport, PeerReport

RUNS = 5
SIZE = Size(94, 10, 3, 60, 3, 10_000, 200)


def main() -> None:
    """Fill the database, measure and print."""
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)
    population = Populating().populate(SIZE, admins=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    _say("ring for 1,000 hubs", _ring)
    _say("record 10,000 peers, 60 % moved", _recording(population))
    _observe_all(population)


class Answering:
    """An agent that takes 12 ms for the report of a hub in which nothing happens."""

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport]:
        """Report until the time is over."""
        ends = time.monotonic() + seconds
        answers: dict[str, HubReport] = {}
        for hub in hubs:
            if answers and time.monotonic() > ends:
                break
            time.sleep(0.012)
            answers[hub] = HubReport(hub, 1, 1, "", alive=True, observed_at=0.0, peers={})
        return answers


def _observe_all(population: Population) -> None:
    """Run the jobs of a server until each of its hubs was seen."""
    server = Answering()
    InstanceObservation.objects.update(looked_at=None, observed_at=None)
    jobs, started = 0, time.perf_counter()
    # Made-up hubs confirmed nothing, so none is repaired.
    no_agent = patch.multiple(observe, driver_for=lambda _: server, _repair=lambda *_: None)
    with no_agent, CaptureQueriesContext(connection) as queries:
        while InstanceObservation.objects.filter(observed_at=None).exists():
            observe.observe_server(str(population.instance.server_id))
            jobs += 1
    took = time.perf_counter() - started
    hubs = InstanceObservation.objects.count()
    sys.stdout.write(f"see all {hubs} hubs: {took:.1f} s, {jobs} jobs, {len(queries)} queries\n")


def _ring() -> None:
    Tick.objects.all().delete()
    observe.observe_all()


def _recording(population: Population) -> Callable[[], None]:
    instance = population.instance
    keys = list(instance.peers.values_list("public_key", flat=True))
    moved = 1000

    def record() -> None:
        nonlocal moved
        moved += 1000
        InstanceObservation.objects.filter(pk=instance.pk).update(observed_at=None)
        now = int(timezone.now().timestamp())
        peers = {
            key: PeerReport("203.0.113.5:40000", now - (place % 100), moved, moved)
            if place % 10 < 6
            else PeerReport("203.0.113.5:40000", 1_600_000_000, 1000, 1000)
            for place, key in enumerate(keys)
        }
        record_observations({instance.pk: HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers=peers)})

    return record


def _say(name: str, action: Callable[[], object]) -> None:
    action()
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        action()
        took.append(time.perf_counter() - started)
    with CaptureQueriesContext(connection) as queries:
        action()
    sys.stdout.write(f"{name}: {median(took) * 1000:.0f} ms, {len(queries)} queries\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:] == ["here"]:
        main()
    else:
        say_where()
        scale.main(sys.argv[1:] or ["postgresql", "sqlite"], ["tests.bench.observing", "here"])
