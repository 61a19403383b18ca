"""Pages and calls of a large organization among many tenants: which queries they make, and how they are planned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from portal.actions.group import create_group
from portal.models import ApiToken
from tests.bench.population import Populating, Population, Size
from tests.bench.scale_pages import Ask, asks
from tests.factories import BY, observe_hubs
from tests.fixtures import signed_in
from vpn.jobs.certificates import renew_certificates
from vpn.jobs.observe import observe_all
from vpn.jobs.reconcile import reconcile_all
from vpn.profiles.outdated import find_outdated

pytestmark = pytest.mark.django_db
Query = tuple[str, Any]
# Each has more members and sites than a page or a choice has rows.
SMALLER = Size(0, 0, 0, large_instances=2, large_peers=20, largest_instance=550, members=60)
LARGER = Size(0, 0, 0, large_instances=4, large_peers=40, largest_instance=900, members=120)
ONE_LARGE = Size(0, 0, 0, large_instances=1, large_peers=0, largest_instance=700, members=60)
# One instance has a small part of all peers.
AMONG_MANY = Size(6, 2, 1000, large_instances=3, large_peers=100, largest_instance=1500, members=100)


def asked_of(made: Population) -> Iterator[Ask]:
    """What the benchmark measures, and the pages that it leaves out."""
    yield from asks(made)
    group = create_group(made.organization, name="Sales", members=[one.pk for one in made.members[:10]], by=BY)
    yield Ask("instance, clients", f"/instances/{made.instance.pk}/?show=clients&page=2")
    yield Ask("group", f"/people/groups/{group.pk}/")
    yield Ask("new group", "/people/groups/new/")
    yield Ask("person", f"/people/{made.members[-1].pk}/")
    yield Ask("new instance", "/instances/new/")


@contextmanager
def noting(queries: list[Query]) -> Iterator[None]:
    """Note what is read, with the parameters. That a token was used is written once a minute, by any call."""

    def note(execute: Any, sql: str, params: Any, many: bool, context: Mapping[str, Any]) -> Any:
        if sql.startswith("SELECT"):
            queries.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


def queries_of(made: Population) -> dict[str, list[Query]]:
    """The queries of each page and call, asked for a second time by the first reader since the last observation."""
    browser: Client = signed_in(made.members[0].user)
    _, token = ApiToken.issue(made.members[0], name="test")
    found: dict[str, list[Query]] = {}
    for ask in asked_of(made):
        headers = {"Authorization": f"Bearer {token}"} if ask.api else {}
        browser.get(ask.path, headers=headers)
        queries: list[Query] = []
        cache.clear()  # what is counted once for each observation
        with noting(queries):
            assert browser.get(ask.path, headers=headers).status_code == 200, ask.name
        found[ask.name] = queries
    return found


def queries_of_jobs() -> dict[str, list[Query]]:
    """The queries of the scheduled jobs that look for what is due, every few seconds."""
    observe_hubs(verify_at=timezone.now() + timedelta(minutes=1))  # a comparison reads one hub's peers
    found: dict[str, list[Query]] = {}
    for name, job in {"reconcile": reconcile_all, "certificates": renew_certificates, "observe": observe_all}.items():
        with noting(found.setdefault(name, [])):
            job()
        assert found[name], name
    return found


def test_the_number_of_queries_does_not_grow_with_the_organization() -> None:
    populating = Populating()
    smaller, larger = (
        {name: len(queries) for name, queries in queries_of(populating.populate(size, admins=1)).items()}
        for size in (SMALLER, LARGER)
    )
    assert larger == smaller


def test_a_page_names_its_own_rows_to_the_database_and_not_all_outdated_profiles() -> None:
    made = Populating().populate(ONE_LARGE, admins=1)
    browser = signed_in(made.members[0].user)
    found = find_outdated(made.instance)
    assert len(found.ids) == ONE_LARGE.largest_instance
    path = f"/instances/{made.instance.pk}/"
    in_list = list(made.instance.peers.in_list_order().values_list("pk", flat=True))
    for asked in (path, f"{path}?show=outdated&page=3"):
        queries: list[Query] = []
        with noting(queries):
            page = browser.get(asked).content.decode()
        assert max(len(params or ()) for _, params in queries) < 100, asked
    assert all(f'id="peer-{pk}"' in page for pk in in_list[100:150])
    assert page.count("profile outdated") == 50


@pytest.mark.postgres
def test_no_page_and_no_scheduled_job_reads_the_peers_of_all_tenants() -> None:
    made = Populating().populate(AMONG_MANY, admins=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert scanned('SELECT COUNT("device") FROM "vpn_peer"', None) == {"vpn_peer"}
    peers = {"vpn_peer", "vpn_peernetwork"}
    scans = {
        f"{name}: {sql}"
        for name, queries in (queries_of(made) | queries_of_jobs()).items()
        for sql, params in queries
        if peers & scanned(sql, params)
    }
    assert not scans


def scanned(sql: str, params: Any) -> set[str]:
    """The tables that PostgreSQL would read from the first row to the last."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        [row] = cursor.fetchall()
    plans = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return set(_tables(plans[0]["Plan"]))


def _tables(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _tables(child)
