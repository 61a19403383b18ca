"""While something holds the database's write lock: health says so, a save ends in a page that keeps what was typed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urljoin

import pytest
import requests

from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.shared_portal import Tenant
from tests.visitor import Visitor, forms_in

pytestmark = [pytest.mark.flow, pytest.mark.network]
TYPED = {"name": 'Köln <b>"Süd"</b>', "subnets": "10.44.0.0/24", "place": "Köln"}
SECRET = "a-new-long-secret"


class Refused(NamedTuple):
    """What came of two saves during a lock, and the browser that sent the site."""

    visitor: Visitor
    site: requests.Response
    password: requests.Response


@contextmanager
def write_lock(portal: RunningPortal) -> Iterator[None]:
    """Another program's transaction, which does not end."""
    connection = sqlite3.connect(portal.data / "db" / "portal.sqlite3", timeout=30, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


def database_health(portal: RunningPortal) -> str:
    answer = requests.get(f"{portal.url}/healthz", timeout=30)
    assert answer.status_code == (200 if answer.json()["database"] == "ok" else 503)
    return str(answer.json()["database"])


@pytest.fixture(scope="module")
def refused(portal: RunningPortal, tenant: Tenant) -> Refused:
    """A new site and a new password that were sent during one lock: each waits for it as long as a save may."""
    passwords = {"oldpassword": tenant.password, "password1": SECRET, "password2": SECRET}
    first, second = tenant.visitor(), tenant.visitor()
    with ThreadPoolExecutor(2) as pool, write_lock(portal):
        site = pool.submit(first.submit, "/sites/new/", TYPED, expect=503)
        password = pool.submit(second.submit, "/accounts/password/change/", passwords, expect=503)
        wait_until(lambda: database_health(portal) != "ok", 20, "health that tells of the lock")
        assert "another transaction holds its lock" in database_health(portal)
        return Refused(first, site.result(timeout=90), password.result(timeout=90))


def test_a_save_during_a_lock_is_told_and_can_be_sent_again(portal: RunningPortal, refused: Refused) -> None:
    answer = refused.site
    assert "nothing was lost" in answer.text
    assert answer.headers["Retry-After"]
    assert answer.headers["Cache-Control"] == "no-store"

    (kept,) = forms_in(answer.text)
    assert kept.fields["name"] == [TYPED["name"]]
    again = refused.visitor.http.post(
        urljoin(answer.url, kept.action), kept.fields, headers={"Referer": answer.url}, timeout=60
    )
    assert again.status_code == 200
    assert "10.44.0.0/24" in again.text
    assert "<b>" not in again.text, "what was typed is text"
    wait_until(portal.is_healthy, 30, "health after the lock")


def test_a_password_is_not_written_into_the_page(refused: Refused) -> None:
    assert "nothing was lost" in refused.password.text
    assert SECRET not in refused.password.text
