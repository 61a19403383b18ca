"""A job whose time is over, at whatever line, leaves the database free for everyone else."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

_PROGRAM = "import django; django.setup(); from tests.vpn.job_alarms import main; raise SystemExit(main())"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """An empty database of the engine that the suite runs on."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'alarms.sqlite3'}"
        return
    name = f"alarms_{secrets.token_hex(4)}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_an_alarm_at_any_line_of_a_job_leaves_no_lock_and_loses_no_work(database_url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
