"""Database connections between jobs: a job that was interrupted leaves no transaction, and so no lock, behind."""

from __future__ import annotations

import contextlib
import logging

from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


def end_connections(*, interrupted: bool) -> None:
    """Make every connection of this thread ready for the next job.

    rq raises in the main thread when a job's time is over, at any line: inside `BEGIN IMMEDIATE` too. The database
    then has a transaction of which Django does not know, and on SQLite that keeps the write lock of the whole portal.
    So after a job that raised the connections are closed, and after any other they are proven clean.
    """
    for connection in connections.all(initialized_only=True):
        if interrupted or not _is_clean(connection):
            _close(connection)
    close_old_connections()


def _is_clean(connection: BaseDatabaseWrapper) -> bool:
    """Do Django and the database agree that no transaction is open?"""
    if connection.in_atomic_block or connection.closed_in_transaction or connection.needs_rollback:
        return False
    raw = connection.connection
    if raw is None:
        return True
    if connection.vendor == "sqlite":
        return not raw.in_transaction
    return bool(raw.closed) or raw.info.transaction_status.name == "IDLE"


def _close(connection: BaseDatabaseWrapper) -> None:
    """Close the connection, whatever Django believes of it; the next query opens another."""
    if connection.connection is not None:
        logger.info("Closing the database connection %r after an interrupted job", connection.alias)
        # A broken connection cannot roll back. Closing it has the same effect.
        with contextlib.suppress(Exception):
            connection.connection.rollback()
    # Within what it takes for a transaction, Django would only mark the connection, and never use it again.
    connection.in_atomic_block = connection.needs_rollback = connection.closed_in_transaction = False
    connection.close()
