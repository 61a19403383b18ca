"""Drill: many open a share link whose hub is not there yet. No page waits for them, and one of them has the profile."""

from __future__ import annotations

import os

import pytest
from django.db import connections

from portal.models import Membership
from portal.serving.gateway import Gateway
from portal.wsgi import application
from tests.factories import BY, make_client_peer, make_instance, settle
from tests.portal.served import Peer, ask, serve, wait_until
from vpn.actions.profiles.profile import issue_link

# Requests have threads of their own here, and each its connection: SQLite in memory has one for all.
pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
VISITORS = 80 if os.environ.get("DRILL") else 20  # more than the worker's threads
POST = "POST %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.mark.parametrize("address", ["/p/{token}/", "/api/v1/vpn/client"])
def test_links_that_wait_hold_no_thread_and_are_spent_once(
    address: str, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("vpn.views.profiles.hub_wait", "vpn.api.resources.client"):
        monkeypatch.setattr(f"{module}.HUB_WAIT", 60.0)
    peer = make_client_peer(make_instance(admin.organization), admin)
    token, _ = issue_link(peer, sender=admin, by=BY)
    request = POST % address.format(token=token)
    if address.startswith("/api"):
        request = request.replace("POST", "GET").replace("Host", f"Authorization: Bearer {token}\r\nHost")
    gateway = Gateway(application)
    with serve(gateway=gateway) as port:
        visitors = [Peer(port, request.encode(), f"127.0.0.{1 + number % 9}") for number in range(VISITORS)]
        wait_until(lambda: gateway.waiting == VISITORS)
        for path in ("/accounts/login/", "/healthz"):
            assert ask(port, path).startswith(b"HTTP/1.1 ")
        assert gateway.waiting == VISITORS, "the pages came while all were waiting"
        settle(peer.instance)
        answers = [visitor.hear() for visitor in visitors]
    assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 1
    assert sum(b"PrivateKey = " in answer for answer in answers) == 1
    assert sum(answer.split()[1] in {b"404", b"429"} for answer in answers) == VISITORS - 1
    print(f"{VISITORS} visitors of {address} waited at once, and one of them has the profile")
