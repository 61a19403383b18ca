"""Database connections between jobs: an interrupted job leaves no open transaction, and so no lock."""

from __future__ import annotations

import contextlib
import logging

from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


def end_connections(*, interrupted: bool) -> None:
    """Prepare every connection of this thread for the next job.

    When a job's time is over, rq raises at any line of the main thread, even inside `BEGIN IMMEDIATE`. The database
    then has a transaction that Django does not know. On SQLite it holds the write lock of the whole portal. So the
    connections are closed after an exception, and checked after any other job.
    """
    for connection in connections.all(initialized_only=True):
        if interrupted or not _is_clean(connection):
            _close(connection)
    close_old_connections()


def _is_clean(connection: BaseDatabaseWrapper) -> bool:
    """Return True if both Django and the database know of no open transaction."""
    if connection.in_atomic_block or connection.closed_in_transaction or connection.needs_rollback:
        return False
    raw = connection.connection
    if raw is None:
        return True
    if connection.vendor == "sqlite":
        return not raw.in_transaction
    return bool(raw.closed) or raw.info.transaction_status.name == "IDLE"


def _close(connection: BaseDatabaseWrapper) -> None:
    """Close the connection regardless of Django's state; the next query opens another."""
    if connection.connection is not None:
        logger.info("Closing the database connection %r after an interrupted job", connection.alias)
        # A broken connection cannot roll back. Closing it has the same effect.
        with contextlib.suppress(Exception):
            connection.connection.rollback()
    # If Django believed in an open transaction, it would only mark the connection as closed and never use it again.
    connection.in_atomic_block = connection.needs_rollback = connection.closed_in_transaction = False
    connection.close()
