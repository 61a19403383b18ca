"""Rate limits."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisDown

from tests.vpn.api.caller import Caller, refused, told


@pytest.fixture(autouse=True)
def low_limits(settings: Any) -> None:
    settings.API_LIMITS = {"reads": 3, "writes": 2, "wrong-token": 2, "wrong-share-token": 2}


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands 20 s before the end of a minute."""
    now = [1_000_000 * 60 + 40.0]
    monkeypatch.setattr("portal.web.minute_counts.time.time", lambda: now[0])
    return now


def test_a_token_that_calls_too_often_has_to_wait(api: Caller, still_clock: list[float]) -> None:
    for _ in range(3):
        told(api.get("/sites"), 200)
    response = api.get("/sites")
    refused(response, 429, "rate-limit")
    assert response["Retry-After"] == "20"
    still_clock[0] += 20
    told(api.get("/sites"), 200)


def test_reads_and_writes_are_counted_apart(api: Caller, auditor_api: Caller) -> None:
    for _ in range(2):
        refused(api.post("/sites", {}), 422)
    refused(api.post("/sites", {}), 429)
    told(api.get("/sites"), 200)
    told(auditor_api.get("/sites"), 200)


def test_guessing_tokens_ends_soon_and_stops_nobody_else(api: Caller) -> None:
    guesser = Caller("vpn_guess")
    for _ in range(2):
        refused(guesser.get("/sites"), 401)
    response = guesser.get("/sites")
    refused(response, 429)
    assert response["Retry-After"] == "20"
    told(api.get("/sites"), 200)
    refused(Caller().get("/sites"), 401)


def test_guessing_share_tokens_ends_soon(db: None) -> None:
    guesser = Caller("guess")
    for _ in range(2):
        refused(guesser.get("/client"), 404)
    response = guesser.get("/client")
    refused(response, 429)
    assert response["Retry-After"] == "20"


def test_calls_go_on_without_the_cache(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RedisDown

    monkeypatch.setattr("portal.web.minute_counts.cache.add", fail)
    for _ in range(5):
        told(api.get("/sites"), 200)
