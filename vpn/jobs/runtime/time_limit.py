"""The time limit of a job."""

from __future__ import annotations

from types import FrameType
from typing import Any

from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty


class TimeLimit(UnixSignalDeathPenalty):
    """Ends a job whose time is over, and records it, because the exception may be lost in a finalizer."""

    exceeded = False

    def __init__(self, seconds: int, exception: type[Exception] = JobTimeoutException, **options: Any) -> None:
        super().__init__(seconds, exception, **options)  # type: ignore[no-untyped-call]  # rq's is not annotated

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        """Raise in the middle of the job."""
        TimeLimit.exceeded = True
        super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call]  # rq's is not annotated
