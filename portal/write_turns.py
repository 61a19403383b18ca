"""Turns at SQLite's write lock: the longer a writer has waited, the more often it asks.

SQLite's own pauses grow to 100 ms, so newcomers overtake: of eight writers at once, some waited for seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from portal.database import is_busy

_WRITES: Final = ("BEGIN", "INSERT", "UPDATE", "DELETE")
# Until this time has passed, a writer pauses this long between two attempts; both in seconds.
_PAUSES: Final = ((0.05, 0.008), (0.1, 0.004), (1.0, 0.002))
# By then it is not the number of writers, but one that holds the lock for long.
_LAST_PAUSE: Final = 0.005


def pause_after(waited: float) -> float:
    """The pause before the next attempt of a writer that has waited so long, in seconds."""
    return next((pause for until, pause in _PAUSES if waited < until), _LAST_PAUSE)


def take_turn(execute: Callable[..., Any], sql: str, params: object, many: bool, context: dict[str, Any]) -> Any:
    """Execute a statement (an execute wrapper of Django); repeat one that needs the write lock until it has it.

    It gives up after the connection's `busy_timeout`, as SQLite itself would. A statement within a transaction has the
    lock already, since transactions take it when they begin.
    """
    connection = context["connection"]
    if connection.in_atomic_block or not sql.startswith(_WRITES):
        return execute(sql, params, many, context)
    raw, began = connection.connection, time.monotonic()
    patience = raw.execute("PRAGMA busy_timeout").fetchone()[0]
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                return execute(sql, params, many, context)
            except OperationalError as error:
                waited = time.monotonic() - began
                if not is_busy(error) or waited * 1000 >= patience:
                    raise
                time.sleep(pause_after(waited))
    finally:
        raw.execute(f"PRAGMA busy_timeout = {patience}")


def connect() -> None:
    """Let all connections to SQLite take turns from now on."""
    connection_created.connect(_add, dispatch_uid="write turns")


def _add(connection: BaseDatabaseWrapper, **_: object) -> None:
    if connection.vendor == "sqlite" and take_turn not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, take_turn)
