"""What every test may ask for: an organization with its people, signed-in clients, a hub with peers.

The settings take everything from the environment, so that comes first; what is set already (by `make test`) stays.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from operator import itemgetter

import django
import hypothesis
import pytest

# Other accounts enter the roots of servers and the files of laboratories, whatever umask the tests are run with.
os.umask(0o022)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("SECRET_KEYS", "only-for-tests-" * 3)
if "DATA_DIR" not in os.environ:
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="vpn-portal-test-")
    atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)

django.setup()  # the fixtures below import models

# The machine may be busy: how long an example takes, or to draw one, says nothing of the code.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

REAL = {"network", "flow", "browser"}
COMMITTING = {"transactional_db", "django_db_serialized_rollback", "live_server"}  # fixtures of pytest-django

pytest_plugins = ["tests.fixtures", "tests.shared_portal"]


def pytest_configure(config: pytest.Config) -> None:
    """Settings that make tests quick: a cheap password hash, no collected static files, the cache in memory."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.WHITENOISE_AUTOREFRESH = True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use, and put what takes long first; skip what only PostgreSQL can show."""
    from django.db import connection

    for item in items:
        used = {"db", *COMMITTING}.intersection(getattr(item, "fixturenames", ()))
        marker = item.get_closest_marker("django_db")
        if used or marker:
            item.add_marker(pytest.mark.database)
        # One that commits for real is about locks, or about what other connections see.
        if not used.isdisjoint(COMMITTING) or (marker and marker.kwargs.get("transaction")):
            item.add_marker(pytest.mark.both_databases)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if connection.vendor != "postgresql":
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where pytest is asked for the slowest tests (`--durations`), tell the slowest files too."""
    wanted = terminalreporter.config.getoption("durations")
    if not wanted:
        return
    seconds: defaultdict[str, float] = defaultdict(float)
    for report in itertools.chain(*terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[report.location[0]] += report.duration
    terminalreporter.section("slowest files")
    for path, spent in sorted(seconds.items(), key=itemgetter(1), reverse=True)[:wanted]:
        terminalreporter.write_line(f"{spent:.1f}s {path}")


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """No test sees another's rate limits."""
    from django.core.cache import cache

    yield
    cache.clear()


@pytest.fixture(autouse=True)
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The jobs that were rung for: (queue, function, *ids). Nothing is enqueued, except in tests of real processes."""
    calls: list[tuple[str, ...]] = []
    if REAL.isdisjoint(mark.name for mark in request.node.iter_markers()):
        ring: Callable[..., None] = lambda queue, function, *ids, **_: calls.append((queue, function, *ids))  # noqa: E731
        monkeypatch.setattr("vpn.doorbell._enqueue", ring)
        monkeypatch.setattr("vpn.doorbell.waiting_revocations", set)
    return calls


@pytest.fixture(autouse=True)
def _working_portal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers show signs of life, except in tests of real processes: pages would say that they do not."""
    if REAL.isdisjoint(mark.name for mark in request.node.iter_markers()):
        monkeypatch.setattr("vpn.presenters.needs.portal._answer", lambda path: "ok")
