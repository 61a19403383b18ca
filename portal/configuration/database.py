"""The database: DATABASE_URL, with the options that the portal relies on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ


def read_database(env: environ.Env, data_dir: Path, *, wait: int) -> dict[str, Any]:
    """Django's description of the database; a statement waits `wait` seconds for a lock."""
    database: dict[str, Any] = env.db("DATABASE_URL", default=f"sqlite:///{data_dir / 'db' / 'portal.sqlite3'}")
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # Writers take the lock when they begin, so that two of them wait for each other instead of failing at commit.
        # synchronous=FULL: a power cut must not lose a generation that was sent to a server already.
        # cache_size: 2 MB, since each thread's connection has a cache of its own. The kernel has the file once for all.
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": wait,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-2000;",
        }
        database["CONN_MAX_AGE"] = None
        return database
    database["CONN_MAX_AGE"] = 60
    database["CONN_HEALTH_CHECKS"] = True
    # Wait as long as SQLite's writers do. A client that hangs within a transaction loses its locks.
    limits = f"-c lock_timeout={wait}s -c idle_in_transaction_session_timeout=60s"
    # Solid-state disks read in any order at the same speed. With PostgreSQL's default of 4, for disks that turn, it
    # reads the observations of all tenants to find those of one instance.
    database.setdefault("OPTIONS", {}).setdefault("options", f"{limits} -c random_page_cost=1.1")
    return database
