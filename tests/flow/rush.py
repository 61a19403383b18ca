"""One organization asks for many instances at once, then another for one: `main`, beside a running portal."""

from __future__ import annotations

import json
import sys
import time

from portal.models import Organization
from tests.factories import an_admin, make_organization
from tests.network.lab import wait_until
from vpn.actions.instance import create_instance
from vpn.choices import InstanceState
from vpn.models import Instance, Region


def main(instances: int) -> None:
    """Print how long the other one waited, and how many of the many were ready before it, as JSON."""
    loud, quiet = make_organization("Loud"), make_organization("Quiet")
    # More than an organization may have by default: here it is about turns.
    Organization.objects.filter(pk=loud.pk).update(most_provisioning=1000, most_instances=1000)
    for number in range(instances):
        _request(loud, f"loud{number}")
    already, started = _ready(loud), time.monotonic()
    _request(quiet, "quiet")
    wait_until(lambda: _ready(quiet), 110, "the instance of the other organization")
    found = {"seconds": round(time.monotonic() - started, 1), "ready_before": _ready(loud) - already}
    sys.stdout.write(json.dumps(found))


def _request(organization: Organization, hostname: str) -> None:
    region = Region.objects.get(pk="local")
    create_instance(an_admin(organization), name=hostname, hostname=hostname, region=region)


def _ready(organization: Organization) -> int:
    return Instance.objects.filter(organization=organization, state=InstanceState.READY).count()
