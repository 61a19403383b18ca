"""Fetch a tiny file as browsers do that measure a region's round trip: no redirect, and a trusted certificate."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

_PATIENCE: Final = 10.0  # seconds, as long as static/js/regions.js waits


class NotFetched(Exception):
    """Why a file was not fetched, as the rest of a sentence that begins with its address."""


def fetched_ms(url: str) -> float:
    """Return how long a fetch over an open connection takes, in milliseconds. Raises NotFetched."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE)
    try:
        _fetch(connection, path)  # opens the connection
        begun = time.monotonic()
        _fetch(connection, path)
        return (time.monotonic() - begun) * 1000
    except ssl.SSLCertVerificationError as error:
        raise NotFetched(f"has a certificate that browsers refuse: {error.verify_message}.") from None
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(f"does not answer ({type(error).__name__}): check its web server and firewall.") from None
    finally:
        connection.close()


def _fetch(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if answer.status != http.client.OK:
        raise NotFetched(f"answers with status {answer.status}: put a tiny file there.")
