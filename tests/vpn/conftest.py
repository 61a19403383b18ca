"""A server that confirms what it is sent, and what tests of several processes ask for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from portal.models import Membership
from tests.factories import BY, settle
from tests.vpn.confirming_server import Server
from vpn.actions.peers.peer import create_client_peer
from vpn.models import Instance


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """An empty database, of the engine that the suite runs on, for processes of the test's own."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'own.sqlite3'}"
        return
    name = f"own_{secrets.token_hex(4)}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that confirms what it is sent, in place of the driver."""
    made = Server()
    monkeypatch.setattr("vpn.jobs.apply.driver_for", lambda name: made)
    monkeypatch.setattr("vpn.jobs.ahead.driver_for", lambda name: made)
    return made


@pytest.fixture
def behind(instance: Instance, admin: Membership) -> Instance:
    """An instance with a change that its hub does not have yet."""
    settle(instance)
    create_client_peer(instance, member=admin, device="laptop", by=BY)
    return instance
