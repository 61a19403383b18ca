"""Heartbeats of workers and schedule. rq's own are not enough: it lists a killed worker as busy for minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from redis.exceptions import RedisError

from vpn import doorbell
from vpn.doorbell import REGION_QUEUES
from vpn.models import Region

QUEUES = ("urgent", "apply", "destroy", "provision", "knock", "observe", "plan", "mail")
ALIVE_SECONDS = 15
_BEAT_SECONDS = 5.0


def beat(name: str) -> None:
    """Write a heartbeat that is valid for 15 s."""
    doorbell.shared_redis().set(f"portal:alive:{name}", 1, ex=ALIVE_SECONDS)


def beat_while_running(
    names: list[str], stop: threading.Event, each_time: Callable[[], None] | None = None
) -> threading.Thread:
    """Write heartbeats from a thread of this process until `stop` is set, and call `each_time` after each."""

    def run() -> None:
        while True:
            try:
                for name in names:
                    beat(name)
            except (RedisError, OSError):
                pass  # Redis is unreachable, which the health page shows.
            if each_time is not None:
                each_time()
            if stop.wait(_BEAT_SECONDS):
                return

    thread = threading.Thread(target=run, name="heartbeat", daemon=True)
    thread.start()
    return thread


def worker_health() -> str:
    """Return "ok", or the queues without a worker, and those of regions without one."""
    alive = _alive(f"worker:{name}" for name in QUEUES)
    silent = [name for name in QUEUES if f"worker:{name}" not in alive]
    limited = [name for name in silent if name in REGION_QUEUES]
    if limited:
        # Workers of some regions alone may serve these queues.
        silent = [name for name in silent if name not in limited] + _silent_in_regions(limited)
    return f"No worker has a current heartbeat for: {', '.join(silent)}." if silent else "ok"


def _silent_in_regions(names: list[str]) -> list[str]:
    regions = list(Region.objects.filter(servers__isnull=False).distinct().values_list("pk", flat=True))
    alive = _alive(f"worker:{name}:{region}" for name in names for region in regions)
    silent = {name: [region for region in regions if f"worker:{name}:{region}" not in alive] for name in names}
    told = []
    for name, missing in silent.items():
        if len(missing) == len(regions):
            told.append(name)
        elif missing:
            told.append(f"{name} (of {' and '.join(missing)})")
    return told


def is_served(queue_name: str) -> bool:
    """Return True if a worker of this queue has a current heartbeat; False if Redis is unreachable."""
    try:
        return bool(_alive([f"worker:{queue_name}"]))
    except (RedisError, OSError):
        return False


def schedule_health() -> str:
    """Return "ok", or that the schedule has no heartbeat."""
    return "ok" if _alive(["schedule"]) else "The schedule has had no heartbeat for 15 seconds."


def _alive(names: Iterable[str]) -> set[str]:
    """Return those of these names with a current heartbeat; one request."""
    asked = list(names)
    found = doorbell.shared_redis().mget([f"portal:alive:{name}" for name in asked]) if asked else []
    return {name for name, value in zip(asked, found, strict=True) if value is not None}
