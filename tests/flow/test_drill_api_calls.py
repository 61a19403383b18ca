"""An organization's programs call without end, with several tokens and at the same moment; Redis counts each call once.

DRILL=1: 20,000 calls instead of 600.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from redis import Redis
from redis.exceptions import RedisError

from portal.models import ApiToken, Membership, Organization
from portal.web import minute_counts
from portal.web.cache import TolerantRedisCache
from tests.lab.waiting import wait_until
from vpn.api.protocol import throttling
from vpn.api.protocol.errors import Refusal

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True)]
CALLS = 20_000 if os.environ.get("DRILL") else 600
LIMIT = 100
THREADS = 8


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis of this test's own, in which calls are counted; the clock stands, so that no minute begins anew."""
    socket = tmp_path / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(socket), 60, "Redis")
            monkeypatch.setattr(TolerantRedisCache, "_away_until", 0.0)
            # Patient, so that a busy machine is not taken for a Redis that is away.
            patient = {"OPTIONS": {"socket_timeout": 60, "socket_connect_timeout": 60}}
            monkeypatch.setattr(minute_counts, "cache", TolerantRedisCache(f"unix://{socket}", patient))
            now = time.time()
            monkeypatch.setattr("portal.web.minute_counts.time.time", lambda: now)
            yield process
        finally:
            process.terminate()


def _answers(socket: Path) -> bool:
    try:
        return bool(Redis(unix_socket_path=str(socket)).ping())
    except RedisError:
        return False


def call(request: HttpRequest, token: ApiToken) -> str:
    """One call: "" where it is let in, else the refusal's code."""
    try:
        throttling.count_call(request, token)
    except Refusal as refusal:
        return refusal.code
    return ""


def test_calls_of_many_tokens_at_once_stop_at_the_quota(
    server: subprocess.Popen[bytes], admin: Membership, stranger: Membership
) -> None:
    Organization.objects.filter(pk=admin.organization_id).update(most_api_calls=LIMIT)
    admin.organization.refresh_from_db()
    request = RequestFactory().get("/")
    tokens = [ApiToken.issue(admin)[0] for _ in range(THREADS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(lambda number: call(request, tokens[number % THREADS]), range(CALLS)))
    took = time.perf_counter() - began
    print(f"{CALLS:,} calls counted, {outcomes.count('')} let in, {took / CALLS * 1e6:.0f} µs each")
    assert outcomes.count("") == LIMIT
    assert set(outcomes) <= {"", "quota-api-calls", "rate-limit"}
    assert call(request, ApiToken.issue(stranger)[0]) == "", "another organization"
    # Redis goes away: calls go on, counted in memory.
    server.terminate()
    server.wait(30)
    assert call(request, tokens[0]) == ""
