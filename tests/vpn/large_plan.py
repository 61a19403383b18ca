"""The largest change that an organization may make, while another one writes: `main`, in a process of its own.

It needs an empty database in DATABASE_URL, and Django set up. With DRILL=1 there are 50,000 networks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection

from portal.models import Organization
from tests.factories import BY, make_instance, make_member, make_organization, make_region, make_site, settle
from tests.vpn.large_hub import RULES, networks_of, some_rules
from vpn.actions.activity.plan_work import work_out_next
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer, update_peer
from vpn.models import ChangePlan, Instance, Peer, Site

SITES = 100 if os.environ.get("DRILL") else 7


@contextmanager
def another_writing() -> Iterator[list[float]]:
    """Another organization adds devices, one after the other: how long each took, in seconds. Each succeeds."""
    organization = make_organization("Neighbour")
    Organization.objects.filter(pk=organization.pk).update(most_peers=100_000)
    hub, member = make_instance(organization, name="Neighbour"), make_member(organization, name="Nora")
    took: list[float] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def write() -> None:
        number = 0
        try:
            while not over.is_set() or not took:
                number += 1
                began = time.perf_counter()
                create_client_peer(hub, member=member, device=f"device {number}", by=BY)
                took.append(time.perf_counter() - began)
                over.wait(0.02)
        except BaseException as error:  # noqa: BLE001 - the test tells it
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=write, name="neighbour")
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()
    assert not errors
    assert hub.peers.count() == len(took)


def main() -> None:
    """Make the change, and say how long others waited; an AssertionError tells what is wrong."""
    call_command("migrate", verbosity=0)
    make_region()
    hub, sites = _hub_with_sites()
    networks = [text for number in range(7) for text in networks_of(number)]
    with another_writing() as took:
        began = time.perf_counter()
        for number, ends in enumerate((networks, [f"site:{site.pk}" for site in sites])):
            update_instance(hub, firewall=some_rules(ends, seed=number), by=BY)
        update_peer(_peer_of(hub, sites[0]), subnets=networks_of(SITES), by=BY)
        saved = time.perf_counter() - began
        while work_out_next(hub.pk, by=BY):
            pass
        worked_out = time.perf_counter() - began - saved
    print(
        f"{SITES * 500:,} networks, {RULES:,} rules: saved in {saved:.1f} s, worked out in {worked_out:.1f} s; "
        f"{len(took)} writes of another meanwhile, the longest {max(took):.2f} s"
    )
    assert [plan.state for plan in ChangePlan.objects.filter(instance=hub).order_by("generation")] == ["ready"] * (
        SITES + 3
    )
    cut = [plan.plan for plan in ChangePlan.objects.filter(instance=hub) if "reach" in plan.plan["cut"]]
    assert cut, "1,000 rules between single networks are more than a plan's steps"
    assert cut[0]["size"] == {"peers": SITES, "rules": RULES, "networks": SITES * 500}


def _hub_with_sites() -> tuple[Instance, list[Site]]:
    organization = make_organization()
    Organization.objects.filter(pk=organization.pk).update(most_subnets=100_000, most_sites=1000, most_rules=10_000)
    hub = make_instance(organization)
    sites = [make_site(organization, name=f"Site {number}") for number in range(SITES)]
    for number, site in enumerate(sites):
        create_site_peer(hub, site=site, subnets=networks_of(number), by=BY)
        work_out_next(hub.pk, by=BY)
    return settle(hub), sites


def _peer_of(hub: Instance, site: Site) -> Peer:
    return hub.peers.select_related("instance", "site").get(site=site)
