"""Signs of life of workers and schedule: our own, since rq lists a killed worker as busy for minutes."""

from __future__ import annotations

import threading

import django_rq
from redis.exceptions import RedisError

QUEUES = ("urgent", "apply", "provision", "observe", "plan", "mail")
ALIVE_SECONDS = 15
_BEAT_SECONDS = 5.0


def beat(name: str) -> None:
    """Show a sign of life that holds for 15 s."""
    django_rq.get_connection("default").set(f"portal:alive:{name}", 1, ex=ALIVE_SECONDS)


def beat_while_running(names: list[str], stop: threading.Event) -> threading.Thread:
    """Show signs of life from a thread of this process until `stop` is set."""

    def run() -> None:
        while True:
            try:
                for name in names:
                    beat(name)
            except (RedisError, OSError):
                pass  # Redis is away: that is what the health page says of it.
            if stop.wait(_BEAT_SECONDS):
                return

    thread = threading.Thread(target=run, name="heartbeat", daemon=True)
    thread.start()
    return thread


def worker_health() -> str:
    """ "ok", or which queues no worker serves."""
    silent = [name for name in QUEUES if not _is_alive(f"worker:{name}")]
    return f"No worker has shown a sign of life for: {', '.join(silent)}." if silent else "ok"


def is_served(queue_name: str) -> bool:
    """Does a worker of this queue show signs of life? While Redis is away, the answer is no."""
    try:
        return _is_alive(f"worker:{queue_name}")
    except (RedisError, OSError):
        return False


def schedule_health() -> str:
    """ "ok", or that the schedule is silent."""
    return "ok" if _is_alive("schedule") else "The schedule has shown no sign of life for 15 seconds."


def _is_alive(name: str) -> bool:
    return bool(django_rq.get_connection("default").exists(f"portal:alive:{name}"))
