"""What `scale` runs: fill the database, start the web server alone, and let eight admins ask for each page and call.

Prints the median and the slowest twentieth of the time to the first byte with eight at once, over connections that stay
open, as a browser's do. Then the time of a processor that one request takes, of the portal and of the database, the
number of queries, and the size. SCALE_ROWS=REGEX measures only the rows whose names match.
"""

from __future__ import annotations

import http.client
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles

import requests
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, setup_test_environment
from django.utils import timezone

from portal.models import ApiToken, Membership
from tests.bench.cpu_time import seconds_of
from tests.bench.population import FRESH, Populating, Population, Size, find_population
from tests.factories import make_client_peer, settle
from tests.fixtures import signed_in
from tests.lab.waiting import wait_until
from tests.running_portal import ROOT
from vpn.choices import PeerType
from vpn.jobs.runtime.heartbeat import QUEUES, beat_while_running
from vpn.models import Instance, InstanceObservation, Peer
from vpn.profiles.outdated import find_outdated

USERS = 8
REQUESTS_EACH = 4
_TWENTIETHS = 20
_REPEATED = 5
_CSRF = "a" * 32
SIZES = {"full": Size(), "small": Size(4, 3, 20, 6, 20, 500, 50)}


@dataclass(frozen=True)
class Ask:
    """A page or call: what the report calls it, its address, and whether it is a call of the API.

    With `accept` it is posted, as by a browser that accepts this type.
    """

    name: str
    path: str
    api: bool = False
    accept: str = ""


@dataclass
class Person:
    """An admin with a browser and a token."""

    member: Membership
    browser: Client
    token: str
    connection: http.client.HTTPConnection | None = None

    def headers(self, ask: Ask) -> dict[str, str]:
        """What makes the request theirs."""
        if ask.api:
            return {"Authorization": f"Bearer {self.token}"}
        session = f"sessionid={self.browser.cookies['sessionid'].value}"
        if not ask.accept:
            return {"Cookie": session}
        return {"Cookie": f"{session}; csrftoken={_CSRF}", "X-CSRFToken": _CSRF, "Accept": ask.accept}


def main() -> None:
    """Fill, start, ask and print."""
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    setup_test_environment()
    logging.disable(logging.WARNING)
    made = find_population() or _populate()
    people = [_person(member) for member in made.members[:USERS]]
    chosen = re.compile(os.environ.get("SCALE_ROWS", ""))
    wanted = [ask for ask in (*asks(made), *deliveries(made)) if chosen.search(ask.name)]
    with _workers(made), _web() as port:
        for ask in wanted:
            _report(ask, people, port)


def _populate() -> Population:
    began = time.perf_counter()
    made = Populating().populate(SIZES[os.environ.get("SCALE", "full")], admins=USERS)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    sys.stdout.write(f"{Peer.objects.count()} peers inserted in {time.perf_counter() - began:.0f} s\n")
    return made


@contextmanager
def _workers(made: Population) -> Iterator[None]:
    """What workers would have done: observe the hubs, compare the profiles, and beat their hearts."""
    InstanceObservation.objects.update(observed_at=timezone.now() + FRESH)
    find_outdated(Instance.objects.select_related("server").get(pk=made.instance.pk))
    ended = threading.Event()
    beating = beat_while_running(["schedule", *(f"worker:{name}" for name in QUEUES)], ended)
    try:
        yield
    finally:
        ended.set()
        beating.join()


def asks(made: Population) -> Iterator[Ask]:
    """Everything that is measured."""
    hub, api = f"/instances/{made.instance.pk}", f"/api/v1/vpn/instances/{made.instance.pk}"
    rows = Peer.objects.filter(instance=made.instance)
    site, device = rows.filter(type=PeerType.SITE)[0], _device(made.instance, made.members[0], "new")
    pages = {
        "instances": "/",
        "instance": f"{hub}/",
        "instance, search": f"{hub}/?q=laptop+77",
        "instance, offline": f"{hub}/?show=offline",
        "instance, outdated": f"{hub}/?show=outdated",
        "instance, last page": f"{hub}/?page=200",
        "routing": f"{hub}/routing/",
        "DNS": f"{hub}/dns/",
        "firewall": f"{hub}/firewall/",
        "activity": f"{hub}/activity/",
        "settings": f"{hub}/settings/",
        "new client": f"{hub}/peers/new-client/",
        "new site": f"{hub}/peers/new-site/",
        "device": f"/peers/{device.pk}/",
        "site peer": f"/peers/{site.pk}/",
        "sites": "/sites/",
        "site": f"/sites/{site.site_id}/",
        "people": "/people/",
        "groups": "/people/groups/",
        "my": "/my/",
    }
    yield from (Ask(name, path) for name, path in pages.items())
    calls = {
        "API peers, limit=1000": f"{api}/peers?limit=1000",
        "API peers, limit=100": f"{api}/peers?limit=100",
        "API peer": f"{api}/peers/{device.pk}",
        "API instances": "/api/v1/vpn/instances?limit=100",
        "API instance": api,
        "API sites, limit=1000": "/api/v1/vpn/sites?limit=1000",
        "API users, limit=1000": "/api/v1/vpn/users?limit=1000",
    }
    yield from (Ask(name, path, api=True) for name, path in calls.items())


def deliveries(made: Population) -> Iterator[Ask]:
    """A device's profile as a file, and as a page with a QR code: for that, of an instance with few sites."""
    small = Instance.objects.filter(organization=made.organization).exclude(pk=made.instance.pk)[0]
    for name, instance, accept in (
        ("profile, file", made.instance, "text/plain"),
        ("profile, page", made.instance, "text/html"),
        ("profile, QR page", small, "text/html"),
    ):
        device = _device(instance, made.members[0], name)
        yield Ask(name, f"/peers/{device.pk}/profile/", accept=accept)


def _device(instance: Instance, member: Membership, name: str) -> Peer:
    """A device of this name that runs; made by an earlier run, if the database was kept."""
    if found := Peer.objects.filter(instance=instance, member=member, device=name).first():
        return found
    device = make_client_peer(instance, member, name)
    settle(device.instance)
    # It was looked at now; the measurement may take longer than that counts as recent.
    InstanceObservation.objects.note([instance.pk], observed_at=timezone.now() + FRESH)
    return device


def _person(member: Membership) -> Person:
    _, token = ApiToken.issue(member, name="bench")
    return Person(member, signed_in(member.user), token)


def _report(ask: Ask, people: list[Person], port: int) -> None:
    queries, portal, database = _cost(ask, people[0])
    _seconds(ask, port, people[0])  # warms up
    with ThreadPoolExecutor(USERS) as pool:
        found = [one for some in pool.map(partial(_ask_often, ask, port), people) for one in some]
    seconds = [one for one, _ in found]
    slow = quantiles(seconds, n=_TWENTIETHS)[-1]
    times = "".join(f"{one * 1000:>8.0f} ms" for one in (median(seconds), slow, portal, database))
    sys.stdout.write(f"{ask.name:<26}{times}{queries:>5} queries{found[0][1] / 1000:>8.0f} kB\n")
    sys.stdout.flush()


def _cost(ask: Ask, person: Person) -> tuple[int, float, float]:
    """How many queries the page takes, and how many seconds of a processor: of the portal, and of the database.

    Both are medians, after the first time that it is asked for. A worker that reads a table in parallel does not count.
    """
    headers = {"Authorization": f"Bearer {person.token}"} if ask.api else {}
    headers |= {"Accept": ask.accept} if ask.accept else {}
    client = Client() if ask.api else person.browser  # a program sends no cookie
    send = partial(client.post if ask.accept else client.get, ask.path, headers=headers)
    send()
    with CaptureQueriesContext(connection) as captured:
        answer = send()
        queries = len(captured)  # before the next request discards them
    assert answer.status_code == requests.codes.ok, f"{ask.name}: {answer.status_code}"
    server, found = _database_process(), []
    for _ in range(_REPEATED):
        portal, database = time.process_time(), seconds_of(server)
        send()
        found.append((time.process_time() - portal, seconds_of(server) - database))
    return queries, median(one for one, _ in found), median(one for _, one in found)


def _database_process() -> list[int]:
    """The process of PostgreSQL that serves this one's connection; none of SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return [pid for (pid,) in cursor.fetchall()]


def _ask_often(ask: Ask, port: int, person: Person) -> list[tuple[float, int]]:
    return [_seconds(ask, port, person) for _ in range(REQUESTS_EACH)]


def _seconds(ask: Ask, port: int, person: Person) -> tuple[float, int]:
    """Seconds to the first byte, and the size in bytes."""
    if person.connection is None:
        person.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        person.connection.connect()
    began = time.perf_counter()
    try:
        person.connection.request("POST" if ask.accept else "GET", ask.path, headers=person.headers(ask))
        answer = person.connection.getresponse()
    except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
        # It was idle for too long.
        person.connection = None
        return _seconds(ask, port, person)
    seconds = time.perf_counter() - began
    assert answer.status == requests.codes.ok, f"{ask.name}: {answer.status}"
    return seconds, len(answer.read())


@contextmanager
def _web() -> Iterator[int]:
    """The web process alone; gives its port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.serving", "127.0.0.1", str(port)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}"), 60, "the web server")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/accounts/login/", timeout=5).ok
    except requests.ConnectionError:
        return False


if __name__ == "__main__":
    main()
