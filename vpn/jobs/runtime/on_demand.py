"""Start workers when a job waits for them: an idle one takes memory, and these have nothing to do most of the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from django.conf import settings
from redis.exceptions import RedisError

from portal.running import family
from vpn import doorbell
from vpn.jobs.runtime.heartbeat import beat
from vpn.jobs.runtime.queues import IS_BUSY_AFTER, OF_PROCESS, SPARE
from vpn.jobs.runtime.regions import heartbeats_of, queues_of

# A bell may be lost: without one, it looks after this time.
_LOOKS_EVERY: Final = 4.0  # seconds
_BEATS_EVERY: Final = 3.0  # seconds
# A worker takes less time to start.
_STARTS_WITHIN: Final = 10.0  # seconds


class Waiting:
    """Since when (time.monotonic) jobs wait for each process on demand."""

    def __init__(self) -> None:
        names = (*(name for name in OF_PROCESS if name != SPARE), "plan")
        self.names = [name for name in names if family.is_on_demand(name)]
        self._since: dict[str, float] = {}

    def look(self) -> float:
        """Start the processes for which a job waits; return in how many seconds to look again. Raises RedisError."""
        now = time.monotonic()
        waiting = self._waiting()
        self._since = {name: self._since.get(name, now) for name, number in waiting.items() if number}
        for name, since in self._since.items():
            if name != SPARE or now - since >= IS_BUSY_AFTER:
                family.ring(name)
        return IS_BUSY_AFTER if self._since else _LOOKS_EVERY

    def beat(self) -> None:
        """Write heartbeats for processes that would be started. Raises RedisError."""
        for name in self.names:
            if time.monotonic() - self._since.get(name, time.monotonic()) < _STARTS_WITHIN:
                for each in heartbeats_of(OF_PROCESS.get(name, [name])):
                    beat(each)

    def _waiting(self) -> Mapping[str, int]:
        """The number of waiting jobs for each process."""
        regions = settings.WORKER_REGIONS or sorted(doorbell.regions_with_queues())
        found = dict.fromkeys(self.names, 0)
        if family.is_on_demand(SPARE):
            found[SPARE] = 0
        queues = [(name, queue) for name in found for queue in queues_of(OF_PROCESS.get(name, [name]), regions)]
        with doorbell.shared_redis().pipeline(transaction=False) as pipeline:
            for _, queue in queues:
                pipeline.llen(queue.key)
            for (name, _), number in zip(queues, pipeline.execute(), strict=True):
                found[name] += int(number)
        return found


def start_on_demand(stop: threading.Event) -> None:
    """From a thread of this process, start processes when jobs wait for them, until `stop` is set."""
    threading.Thread(target=_run, args=(stop,), name="on demand", daemon=True).start()


def _run(stop: threading.Event) -> None:
    while not stop.is_set():
        with suppress(RedisError, OSError):  # Redis is unreachable, which the health page shows
            _listen(stop)
        stop.wait(1.0)


def _listen(stop: threading.Event) -> None:
    waiting, beaten_at = Waiting(), -_BEATS_EVERY
    bells = doorbell.shared_redis().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis ships none
    with bells:
        bells.subscribe(doorbell.BELL)
        while not stop.is_set():
            pause = waiting.look()
            if time.monotonic() - beaten_at >= _BEATS_EVERY:
                waiting.beat()
                beaten_at = time.monotonic()
            bells.get_message(timeout=pause)
