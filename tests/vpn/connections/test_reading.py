"""Who had an address at a time: the page, `GET /connections`, the export, and retention."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from portal.models import JournalEntry, Membership, Organization
from tests.factories import BY, make_client_peer, make_member, make_site, make_site_peer, observe_peers
from tests.fixtures import signed_in
from tests.vpn.api.caller import BASE, Caller, refused, told
from tests.vpn.connections.reporting import NOON
from tests.vpn.test_large_tenants import scanned
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.connections import reading
from vpn.connections.reading import Filters, find, parse_address
from vpn.connections.retention import prune_connections, prune_subnets
from vpn.jobs.tidy import tidy
from vpn.models import Connection, ConnectionSubnet, Instance, Peer
from vpn.models.observation import connection_id
from vpn.observed.connections import Begin, Turns, journal_connections

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PAGE = "/connections/"
HOUR = timedelta(hours=1)


def connected(peer: Peer, began: datetime, ended: datetime | None = None, *, endpoint: str = "203.0.113.7:1") -> None:
    """A connection of a peer, as reports make it."""
    journal_connections([Turns(begins=[Begin(peer.pk, began, "", endpoint, 100, 10)])])
    if ended is not None:
        row = Connection.objects.filter(pk=connection_id(peer.pk, began))
        row.update(ended_at=ended, reason="left", received_to=1124, sent_to=522)


def text_of(browser: Client, query: str = "") -> str:
    """The page, without markup."""
    page = browser.get(PAGE + query)
    assert page.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.content.decode())).split())


def names_on(browser: Client, query: str = "") -> list[str]:
    """The peers of the page's rows."""
    page = browser.get(PAGE + query).content.decode()
    return [html.unescape(name) for name in re.findall(r'<th scope="row">([^<]+)<', page)]


@pytest.fixture
def others(instance: Instance, client_peer: Peer, member: Membership) -> tuple[Peer, Peer]:
    """Two devices that had the same address, one after the other, on 3 March: the first is deleted."""
    connected(client_peer, NOON, NOON + 2 * HOUR)
    host, address = client_peer.host, client_peer.addresses[0]
    delete_peer(client_peer, by=BY)
    second = make_client_peer(instance, make_member(instance.organization, email="berta@example.org"), "tablet")
    Peer.objects.filter(pk=second.pk).update(host=host)
    second = Peer.objects.select_related("instance").get(pk=second.pk)
    assert second.addresses[0] == address
    connected(second, NOON + 3 * HOUR)
    return client_peer, second


# Who had an address at a time -----------------------------------------------------------------------------------------


def test_who_had_an_address_at_a_time(admin_browser: Client, others: tuple[Peer, Peer]) -> None:
    first, second = others
    v4, v6 = second.addresses
    for address in (v4, v6, f"{v4}/32"):
        asked = f"?address={address}&since=2026-03-03T14:00&until=2026-03-03T14:00"
        assert names_on(admin_browser, asked.replace("14:00", "13:59")) == [first.label]
        assert names_on(admin_browser, asked) == [], "it ended at two"
        assert names_on(admin_browser, asked.replace("14:00", "15:00")) == ["berta@example.org / tablet"]
    assert len(names_on(admin_browser, f"?address={v4}")) == 2
    assert names_on(admin_browser, "?address=100.127.255.254") == []


def test_the_subnets_of_a_site_hold_an_address(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    berlin = make_site_peer(instance, make_site(organization, name="Berlin"), ["10.1.0.0/24", "fd00:1::/48"])
    munich = make_site_peer(instance, make_site(organization, name="Munich"), ["10.2.0.0/16"])
    connected(berlin, NOON, NOON + HOUR)
    connected(munich, NOON)
    assert names_on(admin_browser, "?address=10.1.0.17") == ["Berlin"]
    assert names_on(admin_browser, "?address=fd00:1::17") == ["Berlin"]
    assert names_on(admin_browser, "?address=10.2.9.9") == ["Munich"]
    update_peer(berlin, subnets=["10.3.0.0/24"], by=BY)
    connected(Peer.objects.get(pk=berlin.pk), NOON + 2 * HOUR)
    assert "10.3.0.0/24" in text_of(admin_browser, "?address=10.3.0.1")
    assert "10.1.0.0/24" in text_of(admin_browser, "?address=10.1.0.1"), "as it was then"


@pytest.mark.parametrize(
    ("text", "address"),
    [("100.64.0.17", "100.64.0.17"), (" 100.64.0.17/20 ", "100.64.0.17"), ("[fd00::1]", "fd00::1"), ("laptop", None)],
)
def test_an_address_as_it_is_typed(text: str, address: str | None) -> None:
    found = parse_address(text)
    assert (None if found is None else str(found)) == address


def test_by_peer_person_site_instance_and_words(
    admin_browser: Client, instance: Instance, client_peer: Peer, site_peer: Peer, member: Membership
) -> None:
    connected(client_peer, NOON, NOON + HOUR)
    connected(site_peer, NOON, NOON + HOUR, endpoint="198.51.100.9:1")
    device, site = [client_peer.label], ["Berlin"]
    assert (
        names_on(admin_browser, f"?peer={client_peer.pk}") == names_on(admin_browser, f"?person={member.pk}") == device
    )
    assert names_on(admin_browser, f"?site={site_peer.site_id}") == names_on(admin_browser, "?q=berlin") == site
    assert names_on(admin_browser, "?q=198.51.100.9") == site
    assert len(names_on(admin_browser, f"?instance={instance.pk}")) == 2
    assert names_on(admin_browser, f"?instance={uuid4()}") == []
    assert len(names_on(admin_browser, "?peer=nonsense&address=nonsense&since=nonsense&before=nonsense")) == 2


def test_the_page_tells_when_how_much_and_why_it_ended(admin_browser: Client, client_peer: Peer) -> None:
    connected(client_peer, NOON, NOON + HOUR)
    told_ended = text_of(admin_browser)
    assert "3 Mar 2026, 12:00:00" in told_ended
    assert "Left 1 h" in told_ended
    assert "1.0 KiB" in told_ended
    assert "512 B" in told_ended
    observe_peers(client_peer, received_bytes=2148, sent_bytes=10)
    connected(client_peer, NOON + 2 * HOUR)
    assert "2.0 KiB" in text_of(admin_browser), "of an open one, what was counted until now"


def test_pages_by_the_last_row(admin_browser: Client, client_peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.views.connections.PAGE_SIZE", 2)
    for hour in range(5):
        connected(client_peer, NOON + hour * HOUR, NOON + hour * HOUR + timedelta(minutes=5))
    seen: list[str] = []
    query = f"?peer={client_peer.pk}"
    while query:
        page = html.unescape(admin_browser.get(PAGE + query).content.decode())
        seen += re.findall(r'<td data-label="From">.*?2026, (\d\d):00', page)
        older = re.search(r'rel="next" href="(\?[^"]+)"', page)
        query = older[1] if older else ""
    assert seen == ["16", "15", "14", "13", "12"]


def test_a_search_looks_at_a_part_and_goes_on(
    admin_browser: Client, client_peer: Peer, site_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SEARCHED", 3)
    connected(site_peer, NOON - HOUR, NOON)
    for hour in range(3):
        connected(client_peer, NOON + hour * HOUR, NOON + hour * HOUR + timedelta(minutes=5))
    page = html.unescape(admin_browser.get(f"{PAGE}?q=berlin").content.decode())
    assert "No match yet" in page
    older = re.search(r'rel="next" href="(\?[^"]+)"', page)
    assert older
    assert names_on(admin_browser, older[1]) == ["Berlin"]


def test_a_search_by_time_says_that_it_ended_early_also_under_what_it_found(
    admin_browser: Client, client_peer: Peer, site_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "This is what was found among 3 connections. Older ones may match, too."
    connected(site_peer, NOON - 10 * HOUR)  # open since
    for hour in range(3):
        connected(client_peer, NOON + hour * HOUR, NOON + hour * HOUR + timedelta(minutes=5))
    asked = "?since=2026-03-03T14:00"
    assert words not in text_of(admin_browser, asked)
    monkeypatch.setattr(reading, "SEARCHED", 3)
    assert words in text_of(admin_browser, asked)
    assert names_on(admin_browser, asked) == [client_peer.label]
    older = re.search(r'rel="next" href="(\?[^"]+)"', html.unescape(admin_browser.get(PAGE + asked).content.decode()))
    assert older
    assert names_on(admin_browser, older[1]) == ["Berlin"]
    assert words not in text_of(admin_browser, older[1]), "the rest was searched"


def test_another_organization_sees_nothing_of_it(stranger: Membership, client_peer: Peer) -> None:
    connected(client_peer, NOON)
    assert names_on(signed_in(stranger.user)) == []
    assert names_on(signed_in(stranger.user), f"?peer={client_peer.pk}") == []
    assert told(Caller.of(stranger).get(f"/connections?peer={client_peer.pk}"), 200) == []


# Costs ----------------------------------------------------------------------------------------------------------------


def test_a_page_of_more_connections_takes_no_more_queries(
    admin_browser: Client, instance: Instance, member: Membership, organization: Organization
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            admin_browser.get(f"{PAGE}?since=2026-03-03T12:00")
        return len(found)

    connected(make_client_peer(instance, member, "first"), NOON)
    connected(make_site_peer(instance, make_site(organization), ["10.9.0.0/24"]), NOON)
    few = queries()
    for number in range(10):
        connected(make_client_peer(instance, member, f"device {number}"), NOON)
        connected(make_site_peer(instance, make_site(organization), [f"10.10.{number}.0/24"]), NOON)
    assert queries() == few


@contextmanager
def _noting(queries: list[tuple[str, Any]]) -> Iterator[None]:
    def note(execute: Any, sql: str, params: Any, many: bool, context: Mapping[str, Any]) -> Any:
        if sql.startswith("SELECT"):
            queries.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


@pytest.mark.postgres
def test_no_search_reads_the_connections_of_all_tenants(
    client_peer: Peer, site_peer: Peer, organization: Organization
) -> None:
    connected(client_peer, NOON, NOON + HOUR)
    connected(site_peer, NOON, NOON + HOUR)
    _fill(client_peer, 6_000)
    _fill(site_peer, 1_000)
    queries: list[tuple[str, Any]] = []
    v4, v6 = client_peer.addresses
    with _noting(queries):
        for filters in (
            Filters(),
            Filters(address=v4, since=NOON, until=NOON + HOUR),
            Filters(address=v6),
            Filters(address=parse_address("10.1.0.5")),
            Filters(peer=client_peer.pk, since=NOON),
            Filters(person=client_peer.member_id, words="laptop"),
            Filters(site=site_peer.site_id),
            Filters(instance=client_peer.instance_id, until=NOON),
        ):
            find(organization.pk, filters, limit=50)
        prune_connections(1)
    assert len(queries) > 8
    assert not {sql for sql, params in queries if "vpn_connection" in "".join(scanned(sql, params))}


def _fill(peer: Peer, count: int) -> None:
    """Connections of other organizations, with other addresses."""
    template = Connection.objects.get(peer_id=peer.pk)
    rows = []
    for number in range(count):
        other = uuid4()
        row = Connection(**{field.attname: getattr(template, field.attname) for field in Connection._meta.fields})
        row.pk = connection_id(other, NOON + timedelta(seconds=number))
        row.organization_id = row.peer_id = row.instance_id = other
        row.person_id, row.site_id, row.subnets = other, other, None
        row.address_v4, row.address_v6 = f"100.65.{number // 250 % 250}.{number % 250}", f"fd00::{number:x}"
        rows.append(row)
    Connection.objects.bulk_create(rows)
    ConnectionSubnet.objects.bulk_create(
        ConnectionSubnet(set_id=uuid4(), organization_id=uuid4(), peer_id=peer.pk, network=f"10.7.{number % 250}.0/24")
        for number in range(count // 4)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


# The API --------------------------------------------------------------------------------------------------------------


def test_the_api_tells_the_same(admin: Membership, instance: Instance, client_peer: Peer, member: Membership) -> None:
    connected(client_peer, NOON, NOON + HOUR)
    caller = Caller.of(admin)
    [row] = told(caller.get(f"/connections?address={client_peer.addresses[0]}&at=2026-03-03T12:30:00Z"), 200)
    assert {name: row[name] for name in ("began_at", "ended_at", "reason", "received_bytes", "sent_bytes")} == {
        "began_at": "2026-03-03T12:00:00+00:00",
        "ended_at": "2026-03-03T13:00:00+00:00",
        "reason": "left",
        "received_bytes": 1024,
        "sent_bytes": 512,
    }
    assert row["peer"] == {"id": str(client_peer.pk), "name": client_peer.label}
    assert row["user"] == {"id": str(member.pk), "email": member.user.email}
    assert row["addresses"] == [*map(str, client_peer.addresses)]
    assert told(caller.get("/connections?at=2026-03-03T13:00:00Z"), 200) == []
    assert told(caller.get(f"/instances/{instance.pk}/connections?user={member.pk}"), 200) == [row]
    assert told(caller.get("/connections?until=2026-03-03T12:00:00Z"), 200) == []
    assert told(caller.get("/connections?since=2026-03-03T12:59:59Z"), 200) == [row]


def test_the_api_goes_on_by_a_cursor(admin: Membership, client_peer: Peer) -> None:
    for hour in range(3):
        connected(client_peer, NOON + hour * HOUR)
    caller = Caller.of(admin)
    first = caller.get("/connections?limit=2")
    link = re.match(r"<[^>]*(\?[^>]+)>; rel=\"next\"", first["Link"])
    assert link
    second = caller.get(f"/connections{link[1]}")
    began = [row["began_at"][11:13] for row in [*told(first, 200), *told(second, 200)]]
    assert began == ["14", "13", "12"]
    assert "Link" not in second
    assert BASE in first["Link"]


@pytest.mark.parametrize("query", ["address=laptop", "peer=laptop", "at=yesterday", "limit=0", "cursor=nonsense"])
def test_the_api_refuses_what_it_cannot_read(admin: Membership, query: str) -> None:
    refused(Caller.of(admin).get(f"/connections?{query}"), 422)


# Export ---------------------------------------------------------------------------------------------------------------


def exported(browser: Client, form: str, **filters: str) -> str:
    """A file of the export."""
    answer = browser.post("/connections/export/", {"format": form, **filters})
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_the_csv_has_the_connections_and_no_formula(
    admin_browser: Client, admin: Membership, client_peer: Peer, site_peer: Peer
) -> None:
    connected(client_peer, NOON, NOON + HOUR)
    connected(site_peer, NOON)
    Connection.objects.filter(peer_id=client_peer.pk).update(peer_name="=1+1", person="@anna", instance_name="-hub")
    head, *lines = csv.reader(io.StringIO(exported(admin_browser, "csv")))
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    device = next(row for row in rows if row["peer_id"] == str(client_peer.pk))
    assert (device["peer"], device["user"], device["instance"]) == ("'=1+1", "'@anna", "'-hub")
    assert (device["reason"], device["received_bytes"]) == ("left", "1024")
    assert {row["subnets"] for row in rows} == {"", "10.1.0.0/24"}
    line = JournalEntry.objects.get(code="organization.connections_exported")
    assert (line.actor.id, line.details["file"][-4:]) == (str(admin.pk), ".csv")


def test_json_lines_have_what_the_filters_leave(auditor_browser: Client, client_peer: Peer, site_peer: Peer) -> None:
    connected(client_peer, NOON, NOON + HOUR)
    connected(site_peer, NOON)
    lines = exported(auditor_browser, "jsonl", peer=str(site_peer.pk), since="2026-03-03T12:00").splitlines()
    assert [json.loads(line)["peer"]["name"] for line in lines] == ["Berlin"]
    assert JournalEntry.objects.get(code="organization.connections_exported").details["peer"] == str(site_peer.pk)


# Retention ------------------------------------------------------------------------------------------------------------


def test_ended_connections_go_after_the_time_of_their_organization(
    settings: Settings, organization: Organization, client_peer: Peer, site_peer: Peer
) -> None:
    settings.CONNECTION_DAYS = 90
    now = timezone.now()
    for days in (100, 50):
        connected(client_peer, now - timedelta(days=days + 1), now - timedelta(days=days))
    connected(site_peer, now - timedelta(days=300))
    tidy()
    assert Connection.objects.count() == 2, "what is open stays"
    organization.connection_days = 30
    organization.save()
    assert prune_connections(10)
    assert [row.peer_id for row in Connection.objects.all()] == [site_peer.pk]


def test_those_of_a_deleted_organization_go_too(client_peer: Peer) -> None:
    now = timezone.now()
    connected(client_peer, now - timedelta(days=500), now - timedelta(days=499))
    Connection.objects.update(organization_id=uuid4())
    assert prune_connections(10)
    assert not Connection.objects.exists()


def test_many_go_in_batches(client_peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.connections.retention._BATCH", 2)
    for days in range(5):
        connected(client_peer, NOON - timedelta(days=900 + days), NOON - timedelta(days=899 + days))
    assert not prune_connections(0), "the next run goes on"
    assert prune_connections(10)
    assert not Connection.objects.exists()


def test_the_subnets_of_a_deleted_site_go_with_its_last_connection(site_peer: Peer) -> None:
    connected(site_peer, NOON, NOON + HOUR)
    Connection.objects.all().delete()
    prune_subnets()
    assert ConnectionSubnet.objects.exists(), "the peer may connect at any moment"
    delete_peer(site_peer, by=BY)
    tidy()
    assert not ConnectionSubnet.objects.exists()


def test_the_admin_sets_for_how_long(admin_browser: Client, organization: Organization) -> None:
    admin_browser.post("/settings/", {"name": organization.name, "connection_days": "30"})
    organization.refresh_from_db()
    assert organization.connection_days == 30
    line = JournalEntry.objects.get(code="organization.connection_retention_changed")
    assert line.changes == {"connection_days": [None, 30]}
    answer = admin_browser.post("/settings/", {"name": organization.name, "connection_days": "0"})
    assert "greater than or equal to 1" in answer.content.decode()
