"""Many who add at the same moment, where there is room for fewer: `main`, in a process of its own.

It needs an empty database in DATABASE_URL, and Django set up: threads share no database in memory. Each kind of
addition is asked for by THREADS threads at once, in an organization that has room for ROOM of them. Prints, by quota,
how many were let in, how many were refused and how many there are, as JSON; and what each got who sent one key at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from unittest.mock import patch

from django.core.management import call_command
from django.db import connection, connections

from portal.actions.api_token import create_token
from portal.actions.group import create_group
from portal.actions.member import add_member
from portal.exceptions import QuotaReached
from portal.models import Organization, Quota
from portal.quotas import quota_use
from tests.factories import BY, an_admin, make_instance, make_member, make_organization, make_region, make_site
from tests.vpn.key_race import race_of_keys
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.own import add_own_device
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.sites.site import create_site, update_site
from vpn.models import Instance

THREADS = 32 if os.environ.get("DRILL") else 6
ROOM = 2
WAITS = 300  # seconds, on a machine that has much else to do
Act = Callable[[int], object]


def main() -> int:
    """Run all; always 0, the figures tell."""
    # The portal's own patience would end on a machine that has much else to do.
    options = connections.settings["default"]["OPTIONS"]
    options |= {"timeout": WAITS} if connection.vendor == "sqlite" else {"options": f"-c lock_timeout={WAITS}s"}
    call_command("migrate", interactive=False, verbosity=0)
    with patch("vpn.doorbell._enqueue"):
        found: dict[str, object] = {quota.value: _race(quota, act) for quota, act in _acts().items()}
        found["devices_per_member"] = _race_of_a_member()
        found |= race_of_keys()
    sys.stdout.write(json.dumps({"threads": THREADS, "room": ROOM, "found": found}))
    return 0


def _acts() -> dict[Quota, Act]:
    """What adds one more; the number tells the threads apart. Each has a hub or a site of its own, where it can."""
    organization = make_organization()
    admin, region = an_admin(organization), make_region()
    hubs = [make_instance(organization, name=f"Hub {number}") for number in range(THREADS)]
    sites = [make_site(organization) for _ in range(THREADS)]

    def instance(number: int) -> object:
        return create_instance(admin.organization, name=f"New {number}", hostname=f"new{number}", region=region, by=BY)

    def again(number: int) -> object:
        return create_instance(
            admin.organization, name=f"More {number}", hostname=f"more{number}", region=region, by=BY
        )

    def record(number: int) -> object:
        return update_instance(hubs[number], dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY)

    return {
        Quota.INSTANCES: instance,
        Quota.PROVISIONING: again,
        Quota.PEERS: lambda number: create_client_peer(hubs[number], member=admin, by=BY),
        Quota.SITES: lambda number: create_site(admin.organization, name=f"New site {number}", platform="linux", by=BY),
        Quota.SUBNETS: lambda number: update_site(sites[number], subnets=[f"10.{number}.0.0/24"], by=BY),
        Quota.RULES: lambda number: update_instance(hubs[number], firewall=[{"name": "one"}], by=BY),
        Quota.DNS_RECORDS: record,
        Quota.MEMBERS: lambda number: add_member(organization, email=f"p{number}@example.org", role="member", by=BY),
        Quota.GROUPS: lambda number: create_group(organization, name=f"Group {number}", by=BY),
        Quota.API_TOKENS: lambda number: create_token(admin, name=f"Token {number}", by=BY),
    }


def _race(quota: Quota, act: Act) -> dict[str, int]:
    organization = Organization.objects.get()
    before = quota_use(organization, quota).used
    limits = {f"most_{one.value}": None if one is quota else 10_000 for one in Quota}
    Organization.objects.update(**limits | {f"most_{quota.value}": before + ROOM})
    outcomes = _attempts(act)
    added = quota_use(organization, quota).used - before
    return {"let in": sum(outcomes), "refused": outcomes.count(False), "added": added}


def _race_of_a_member() -> dict[str, int]:
    """Devices that a member adds for themselves, each on a hub of its own."""
    Organization.objects.update(**{f"most_{one.value}": 10_000 for one in Quota})
    Instance.objects.update(members_add_devices=True)
    member = make_member(Organization.objects.get())
    Organization.objects.update(devices_per_member=ROOM)
    hubs = list(Instance.objects.filter(name__startswith="Hub "))
    outcomes = _attempts(lambda number: add_own_device(hubs[number], by=BY, member=member, device="phone"))
    return {"let in": sum(outcomes), "refused": outcomes.count(False), "added": member.peers.count()}


def _attempts(act: Act) -> list[bool]:
    """Whether each of the threads was let in."""
    start = Barrier(THREADS, timeout=WAITS)

    def attempt(number: int) -> bool:
        try:
            start.wait()
            act(number)
        except QuotaReached:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(attempt, range(THREADS), timeout=WAITS))
