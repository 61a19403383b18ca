"""The web server: a process that listens, and workers that it forks and watches."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from importlib import import_module
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import uvicorn
import uvicorn._subprocess
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.template import engines
from django.template.loader import get_template
from uvicorn.supervisors.multiprocess import Process

from portal.growth import Growth
from portal.serving import limits

_ENDS_AFTER: Final = 20.0  # seconds
_ASKED_EVERY: Final = 5.0  # seconds
# What a worker would import for itself at its start, or with its first requests.
_IMPORTED_LATE: Final = (
    *("portal.serving.protocol", "uvicorn.lifespan.on", "uvicorn.loops.asyncio", "uvicorn.protocols.http.h11_impl"),
    *("allauth.account.auth_backends", "portal.sign_in.adapter", "portal.sign_in.guessing", "portal.web.cache"),
    *(
        "django.template.context_processors",
        "django.core.cache.backends.redis",
        "django.contrib.messages.storage.fallback",
        "django.conf.locale.en.formats",
    ),
)


def load() -> None:
    """Load what requests need, before workers are forked: views, the patterns of addresses, templates."""
    import_module("portal.serving.gateway")
    import_module(settings.ROOT_URLCONF)
    for name in _IMPORTED_LATE:
        import_module(name)
    run_checks(tags=[Tags.urls])  # compiles each pattern
    for root in engines["django"].dirs:
        for path in Path(root).rglob("*.html"):
            get_template(str(path.relative_to(root)))


async def _main_loop(server: uvicorn.Server) -> None:
    """Look twice a second whether to end, and renew the date of answers. uvicorn's own loop wakes ten times.

    A worker that has grown ends once it had no connection for a while. The listening process starts a new one, and the
    other worker takes the connections meanwhile.
    """
    growth, idle_since = Growth(), time.monotonic()
    while not await server.on_tick(0):
        await asyncio.sleep(0.5)
        if server.server_state.connections or server.server_state.tasks:
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > _ENDS_AFTER and growth.is_too_large():
            server.should_exit = True


_next_ping: Final[WeakKeyDictionary[Process, float]] = WeakKeyDictionary()


def _ping(process: Process, timeout: float = limits.HEALTH_SECONDS) -> bool:
    """Ask a worker every few seconds whether it hangs; uvicorn asks twice a second. That it ended is seen sooner."""
    if time.monotonic() < _next_ping.get(process, 0.0):
        return True
    answers = process._healthcheck(timeout) is not None  # noqa: SLF001
    _next_ping[process] = time.monotonic() + _ASKED_EVERY
    return answers


def serve(address: str, port: int) -> None:
    """Listen until SIGTERM; a worker that dies or hangs is started again."""
    # Forked workers share the memory of the application that this process has loaded; uvicorn's own way loads it anew.
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]  # noqa: SLF001
    uvicorn.Server.main_loop = _main_loop  # type: ignore[assignment,method-assign]
    Process.ping = _ping  # type: ignore[assignment,method-assign]
    uvicorn.run(
        "portal.serving.gateway:application",
        host=address,
        port=port,
        workers=limits.WORKERS,
        loop="asyncio",
        http="portal.serving.protocol:LimitedProtocol",
        ws="none",
        lifespan="on",
        h11_max_incomplete_event_size=limits.HEAD_SIZE,
        timeout_keep_alive=limits.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=limits.GRACEFUL_SECONDS,
        timeout_worker_healthcheck=limits.HEALTH_SECONDS,
        # No access log, because URLs may contain tokens. The portal itself decides which forwarded headers to trust.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
    )
