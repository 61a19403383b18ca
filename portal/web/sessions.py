"""Sessions in the database, stored under a digest of their cookie, so a copy of the table opens no session."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session


def digest_of(session_key: str) -> str:
    """Return the digest of a session key: 160 bits of SHA-256, the size of the column.

    The key is random with more bits than that, so neither salt nor a slow hash is needed.
    """
    return hashlib.sha256(session_key.encode()).hexdigest()[:40]


class SessionStore(DatabaseStore):
    """Django's database sessions, looked up by the digest of the key in the cookie."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key
        if key is None:
            return None
        # Django's own method looks up `_session_key`, and clears it if there is no row.
        self._session_key = digest_of(key)
        found: Session | None = super()._get_session_from_db()  # type: ignore[misc]  # its stubs leave it out
        self._session_key = key if found is not None else None
        return found

    async def _aget_session_from_db(self) -> Session | None:
        raise NotImplementedError("Sessions are read by views that are not async.")

    def exists(self, session_key: str) -> bool:
        """Return True if there is a session of this key."""
        return bool(super().exists(digest_of(session_key)))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row of this session."""
        row = super().create_model_instance(data)
        row.session_key = digest_of(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """End the session of this key, or this one."""
        key = session_key or self.session_key
        if key is not None:
            super().delete(digest_of(key))
