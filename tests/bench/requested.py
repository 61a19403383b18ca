"""`python -m tests.bench.requested NUMBER`, beside a running portal: request that many instances and time it."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from portal.models import Organization  # noqa: E402 - needs the settings
from portal.running.leftovers import find_leftovers  # noqa: E402
from tests.factories import BY  # noqa: E402
from tests.flow.beside import add_organization  # noqa: E402
from tests.lab.waiting import wait_until  # noqa: E402
from vpn.actions.instances.instance import create_instance, delete_instance  # noqa: E402
from vpn.choices import InstanceState  # noqa: E402
from vpn.models import Instance, OperationStep, Region  # noqa: E402

_WITHIN = 20.0  # seconds for each instance


def main(number: int) -> None:
    """Print the seconds as JSON."""
    loud, quiet = add_organization("Loud"), add_organization("Quiet")
    Organization.objects.filter(pk=loud.pk).update(most_provisioning=number, most_instances=number)
    started, computed = time.perf_counter(), _processor_seconds()
    for count in range(number):
        _request(loud, f"loud{count}")
    asked = time.perf_counter()
    _request(quiet, "quiet")
    found = {"request them": asked - started}
    wait_until(lambda: _are_ready(quiet), _WITHIN * number, "the instance of the other organization")
    found["one more of another organization is ready after"] = time.perf_counter() - asked
    wait_until(lambda: _are_ready(loud), _WITHIN * number, "all instances")
    found[f"all {number} are ready after"] = time.perf_counter() - started
    found["an instance, on average"] = (time.perf_counter() - started) / (number + 1)
    found["  processor time of the portal and its agent"] = (_processor_seconds() - computed) / (number + 1)
    for name, seconds in _steps().items():
        found[f"  step {name}, median"] = seconds
    started = time.perf_counter()
    instances = Instance.objects.filter(organization__in=[loud, quiet])
    for instance in instances.all():
        delete_instance(instance, by=BY)
    wait_until(lambda: not instances.exists(), _WITHIN * number, "the end of the hubs")
    found["all are deleted after"] = time.perf_counter() - started
    sys.stdout.write(json.dumps(found))


def _request(organization: Organization, hostname: str) -> None:
    region = Region.objects.get(pk="local")
    create_instance(organization, name=hostname, hostname=hostname, region=region, by=BY)


def _are_ready(organization: Organization) -> bool:
    return not Instance.objects.filter(organization=organization).exclude(state=InstanceState.READY).exists()


def _processor_seconds() -> float:
    """What the portal's processes have computed, with the programs that they ran and that have ended."""
    ticks = 0
    for pid in find_leftovers(os.environ["DATA_DIR"]):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime of proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def _steps() -> dict[str, float]:
    rows = OperationStep.objects.filter(operation__kind="provision", finished_at__isnull=False)
    taken: dict[str, list[float]] = {}
    for name, started, finished in rows.order_by("position").values_list("name", "started_at", "finished_at"):
        if started is not None and finished is not None:
            taken.setdefault(name, []).append((finished - started).total_seconds())
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


if __name__ == "__main__":
    main(int(sys.argv[1]))
