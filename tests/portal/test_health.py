"""/healthz: every part by name, and nothing that is not a stranger's business."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client

from portal.database import LOCKED
from portal.views import health

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def redis_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is there."""
    monkeypatch.setattr("redis.Redis.ping", lambda self: True)


def fine() -> str:
    """A part that answers."""
    return "ok"


def silent() -> str:
    """A part that says what is wrong."""
    return "No worker has shown a sign of life for 15 seconds."


def counted() -> str:
    """How often this was asked."""
    counted.times += 1  # type: ignore[attr-defined]
    return f"Asked {counted.times} times."  # type: ignore[attr-defined]


def broken() -> str:
    """A part that raises."""
    raise RuntimeError("secret detail")


def named(function: str) -> dict[str, str]:
    """Both checks, one of them `function` of this module."""
    here = "tests.portal.test_health"
    return {"worker": f"{here}.{function}", "schedule": f"{here}.fine"}


@pytest.mark.usefixtures("redis_answers")
def test_all_is_well(client: Client, settings: LazySettings) -> None:
    settings.HEALTH_CHECKS = named("fine")
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == dict.fromkeys(
        ("status", "web", "database", "redis", "worker", "schedule", "hubs", "mail"), "ok"
    )


@pytest.mark.usefixtures("redis_answers")
def test_hubs_are_not_looked_at_for_every_caller(
    client: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.views.health._NOTE_EVERY", 300)
    settings.HEALTH_CHECKS = named("fine")
    settings.HEALTH_NOTES = {"hubs": "tests.portal.test_health.counted"}
    counted.times = 0  # type: ignore[attr-defined]
    answers = [client.get("/healthz").json()["hubs"] for _ in range(3)]
    assert answers == ["Asked 1 times."] * 3
    cache.clear()
    assert client.get("/healthz").json()["hubs"] == "Asked 2 times."


@pytest.mark.usefixtures("redis_answers")
def test_a_silent_worker_is_told(client: Client, settings: LazySettings) -> None:
    settings.HEALTH_CHECKS = named("silent")
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["worker"] == silent()
    assert response.json()["schedule"] == "ok"


@pytest.mark.usefixtures("redis_answers")
def test_a_check_that_breaks_tells_no_detail(client: Client, settings: LazySettings) -> None:
    settings.HEALTH_CHECKS = named("broken")
    response = client.get("/healthz")
    assert response.status_code == 503
    assert b"secret" not in response.content


def test_redis_away_is_told_in_time(client: Client, settings: LazySettings) -> None:
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["redis"] == "Redis does not answer."
    assert response.json()["database"] == "ok"


def test_while_the_database_is_locked_one_caller_waits_and_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    has_begun, may_end, tried = Event(), Event(), []

    def why_no_write(seconds: float) -> str:
        tried.append(seconds)
        has_begun.set()
        assert may_end.wait(20)
        return LOCKED

    monkeypatch.setattr(health, "why_no_write", why_no_write)
    write = health._TrialWrite()
    with ThreadPoolExecutor(9) as pool:
        waiting = pool.submit(write.answer)
        assert has_begun.wait(20)
        others = [pool.submit(write.answer) for _ in range(8)]
        try:
            assert {other.result(5) for other in others} == {health.OK}, "what was found before"
        finally:
            may_end.set()
        assert waiting.result(20) == LOCKED
    assert len(tried) == 1
    assert write.answer() == LOCKED
