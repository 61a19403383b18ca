"""Detection of a busy database, and a trial write, for SQLite and PostgreSQL."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone

from portal.models import WriteMark

logger = logging.getLogger(__name__)
LOCKED: Final = "The database accepts no write: another transaction holds its lock, so nothing can be saved meanwhile."
UNWRITABLE: Final = "The database accepts no write, so nothing can be saved: is its disk full, or is it read-only?"

# Temporary errors: a retry may succeed a moment later.
_SQLITE_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# PostgreSQL's codes (its appendix A): lock_not_available, deadlock_detected, serialization_failure, query_canceled.
# Importing psycopg for its classes would cost each process half a second, on SQLite too.
_POSTGRESQL_BUSY: Final = {"55P03", "40P01", "40001", "57014"}


def is_busy(error: BaseException | None) -> bool:
    """Return True if a statement failed only because another transaction held a lock for too long."""
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.OperationalError):
        # The lower byte is the error, the rest its details (sqlite.org, "Result and Error Codes").
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_BUSY
    return getattr(cause, "sqlstate", None) in _POSTGRESQL_BUSY


def why_no_write(wait_seconds: float) -> str:
    """Try to write one row; return "" on success, else a sentence. Waits at most `wait_seconds` for the lock."""
    try:
        with lock_wait(wait_seconds), transaction.atomic():
            WriteMark.objects.update_or_create(pk=WriteMark.ONLY, defaults={"at": timezone.now()})
    except DatabaseError as error:
        logger.exception("A trial write failed")
        return LOCKED if is_busy(error) else UNWRITABLE
    return ""


@contextmanager
def lock_wait(seconds: float) -> Iterator[None]:
    """Limit the time that statements of this connection wait for a lock to `seconds`."""
    milliseconds = int(seconds * 1000)
    if connection.vendor == "sqlite":
        usual = int(settings.DATABASES["default"].get("OPTIONS", {}).get("timeout", 5) * 1000)
        shorten, restore = f"PRAGMA busy_timeout = {milliseconds}", f"PRAGMA busy_timeout = {usual}"
    else:
        shorten, restore = f"SET lock_timeout = {milliseconds}", "RESET lock_timeout"
    with connection.cursor() as cursor:
        cursor.execute(shorten)
        try:
            yield
        finally:
            cursor.execute(restore)
