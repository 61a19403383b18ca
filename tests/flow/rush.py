"""One organization asks for many instances at once, then another for one: `main`, beside a running portal."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime

from django.db.models import Min
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY
from tests.flow.beside import add_organization, delete_instances
from tests.lab.waiting import wait_until
from vpn.actions.instances.instance import create_instance
from vpn.choices import InstanceState
from vpn.models import Instance, OperationStep, Region


def main(instances: int) -> None:
    """Print how long the other one waited, and how many of the many had their turn before it meanwhile, as JSON.

    Their instances are deleted then.
    """
    loud, quiet = add_organization("Loud"), add_organization("Quiet")
    # More than an organization may have by default: here it is about turns.
    Organization.objects.filter(pk=loud.pk).update(most_provisioning=1000, most_instances=1000)
    for number in range(instances):
        _request(loud, f"loud{number}")
    _request(quiet, "quiet")
    asked, started = timezone.now(), time.monotonic()
    wait_until(lambda: _is_ready(quiet), 110, "the instance of the other organization")
    seconds = time.monotonic() - started
    (turn,) = _turns(quiet)
    before = sum(asked < each < turn for each in _turns(loud))
    delete_instances(loud, quiet)
    sys.stdout.write(json.dumps({"seconds": round(seconds, 1), "begun_before": before}))


def _request(organization: Organization, hostname: str) -> None:
    region = Region.objects.get(pk="local")
    create_instance(organization, name=hostname, hostname=hostname, region=region, by=BY)


def _is_ready(organization: Organization) -> bool:
    return Instance.objects.filter(organization=organization, state=InstanceState.READY).exists()


def _turns(organization: Organization) -> list[datetime]:
    """When workers began with each of its instances that they have begun with."""
    steps = OperationStep.objects.filter(operation__instance__organization=organization, started_at__isnull=False)
    return [first for (first,) in steps.values("operation").annotate(first=Min("started_at")).values_list("first")]
