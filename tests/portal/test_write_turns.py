"""Writers take turns at SQLite's write lock: one that has waited longer asks more often."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from portal import write_turns
from portal.database import is_busy

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with a table."""
    with sqlite3.connect(tmp_path / "db") as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE noted (number)")
    return tmp_path / "db"


@pytest.fixture
def writer(file: Path) -> Iterator[BaseDatabaseWrapper]:
    """A connection of Django's that waits for the lock as the portal's do."""
    options = {"transaction_mode": "IMMEDIATE", "timeout": 20}
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": options}
    connection = ConnectionHandler({"default": {}, "writer": settings})["writer"]
    connections["writer"] = connection
    yield connection
    connection.close()
    del connections["writer"]


@pytest.fixture
def other(file: Path) -> Iterator[sqlite3.Connection]:
    """Another program, which holds the write lock."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def note(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO noted VALUES (1)")


def test_who_has_waited_longer_pauses_less() -> None:
    pauses = [write_turns.pause_after(hundredths / 100) for hundredths in range(100)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[0] > pauses[-1]
    assert write_turns.pause_after(10) > pauses[-1], "a lock held for long is not asked for all the time"


def test_a_write_waits_for_the_lock_and_is_made(
    writer: BaseDatabaseWrapper, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr("portal.write_turns.time.sleep", pause)
    note(writer)
    assert len(paused) == 3
    other.execute("BEGIN IMMEDIATE")
    paused.clear()
    with transaction.atomic(using="writer"):
        note(writer)
    assert len(paused) == 3
    with writer.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM noted").fetchone() == (2,)
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,), "reads wait as before"


def test_a_write_gives_up_after_the_time_that_its_connection_allows(
    writer: BaseDatabaseWrapper, other: sqlite3.Connection
) -> None:
    with writer.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 30")
    with pytest.raises(OperationalError) as refused:
        note(writer)
    assert is_busy(refused.value)
    other.execute("ROLLBACK")
    note(writer)
