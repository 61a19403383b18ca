"""The portal's end of an agent's `session`: JSON lines over two pipes. An answer has the number of its request.

The caller opens the pipes: to a local subprocess, or to a program that connects to another machine.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 25.0
LARGEST_ANSWER: Final = 64 * 1024 * 1024
_CHUNK: Final = 1 << 20


class SessionBroken(Exception):
    """The agent gave no answer. The text is the reason, as part of a sentence."""


@dataclass(frozen=True)
class Pipes:
    """A connection to an agent: file descriptors for answers and requests, and a function that closes both.

    `end` is called once, at any time, and must not raise.
    """

    answers: int
    requests: int
    end: Callable[[], None]


class AgentSession:
    """Keeps one session open, and opens it again if it breaks. Threads take turns.

    `open_pipes` raises OSError if the agent cannot be reached. A request with its answer may take `answer_seconds`. All
    requests are idempotent: one whose session breaks is sent again, up to `attempts` times in total, within this time.
    """

    def __init__(
        self,
        open_pipes: Callable[[], Pipes],
        *,
        answer_seconds: float = ANSWER_SECONDS,
        largest_answer: int = LARGEST_ANSWER,
        attempts: int = 2,
    ) -> None:
        self._open_pipes = open_pipes
        self._answer_seconds = answer_seconds
        self._largest_answer = largest_answer
        self._attempts = attempts
        self._turn = threading.Lock()
        self._closing = threading.Lock()
        self._pipes: Pipes | None = None
        self._asked = 0
        self._used_at = 0.0

    def ask(self, request: Mapping[str, Any], *, answer_seconds: float | None = None) -> dict[str, Any]:
        """Return the answer to one request, without its number. Raises SessionBroken if there is none.

        `answer_seconds` is for this request alone.
        """
        seconds = self._answer_seconds if answer_seconds is None else answer_seconds
        with self._turn:
            deadline = _Deadline(seconds)
            for left in reversed(range(self._attempts)):
                try:
                    return self._exchange(request, deadline)
                except (OSError, ValueError) as error:
                    if not left or deadline.is_over:
                        raise SessionBroken(str(error)) from error
                    logger.warning("The agent's session broke (%s); opening another", error)
                finally:
                    self._used_at = time.monotonic()
        raise AssertionError("at least one attempt")

    def close(self) -> None:
        """End the session; the next request opens another."""
        with self._closing:
            pipes, self._pipes = self._pipes, None
        if pipes is not None:
            pipes.end()

    def is_open(self) -> bool:
        """Return True if the session is open, or a request is under way; any thread may call this."""
        if not self._turn.acquire(blocking=False):
            return True
        try:
            return self._pipes is not None and not _waits(self._pipes.answers, select.POLLIN, 0)
        finally:
            self._turn.release()

    def close_idle(self, seconds: float) -> None:
        """End the session if it was not used for so long; any thread may call this."""
        if self._turn.acquire(blocking=False):
            try:
                if time.monotonic() - self._used_at > seconds:
                    self.close()
            finally:
                self._turn.release()

    def _exchange(self, request: Mapping[str, Any], deadline: _Deadline) -> dict[str, Any]:
        """Return the answer to one request. Any exception ends the session.

        rq raises a timeout anywhere. A late answer could then be mistaken for the answer to the next request.
        """
        self._asked += 1
        number = self._asked
        line = json.dumps({**request, "id": number}, separators=(",", ":")).encode() + b"\n"
        try:
            pipes = self._ready()
            _send(pipes.requests, line, deadline)
            return _answer_to(number, _receive(pipes.answers, self._largest_answer, deadline))
        except BaseException:
            self.close()
            raise

    def _ready(self) -> Pipes:
        """Return the open pipes. If there is input before a request, the session has ended or is out of step."""
        if self._pipes is not None and _waits(self._pipes.answers, select.POLLIN, 0):
            self.close()
        if self._pipes is None:
            self._pipes = self._open_pipes()
            os.set_blocking(self._pipes.requests, False)
        return self._pipes


class _Deadline:
    """The time by which an answer must be complete."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Return True if no time is left."""
        return time.monotonic() >= self._ends

    def wait(self, descriptor: int, event: int) -> None:
        """Wait until a descriptor can be read or written. Raises OSError when the time is over."""
        if not _waits(descriptor, event, max(0.0, self._ends - time.monotonic())):
            raise OSError(f"no answer within {self.seconds:.0f} s")


def _waits(descriptor: int, event: int, seconds: float) -> bool:
    # Unlike select(), poll() has no limit for descriptor numbers.
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(seconds * 1000))


def _send(descriptor: int, line: bytes, deadline: _Deadline) -> None:
    rest = memoryview(line)
    while rest:
        deadline.wait(descriptor, select.POLLOUT)
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def _receive(descriptor: int, largest: int, deadline: _Deadline) -> bytes:
    """Return one line. Nothing may follow it, because there is no other request."""
    chunks = [b""]
    left = largest
    while not chunks[-1].endswith(b"\n"):
        deadline.wait(descriptor, select.POLLIN)
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            raise OSError("it ended")
        left -= len(chunk)
        if left < 0:
            raise ValueError("an answer without end")
        chunks.append(chunk)
    return b"".join(chunks)


def read_line(pipes: Pipes, seconds: float) -> bytes:
    """Return the line that a program says before it is asked anything. Raises OSError if none comes in time."""
    return _receive(pipes.answers, LARGEST_ANSWER, _Deadline(seconds))


def _answer_to(number: int, line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.pop("id", None) != number:
        raise ValueError("not the answer to this request")
    return answer


def pipes_of(process: subprocess.Popen[bytes]) -> Pipes:
    """Return the pipes to a process that was started with both. `end` kills it."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise ValueError("the process has no pipes")

    def end() -> None:
        process.kill()
        process.wait()
        for pipe in (stdin, stdout):
            # Flushing the buffer may fail, because the process no longer reads.
            with contextlib.suppress(OSError):
                pipe.close()

    return Pipes(answers=stdout.fileno(), requests=stdin.fileno(), end=end)


def local_agent(python: str, state: Path, host_netns: str) -> list[str]:
    """Return the command line of this machine's agent without its command. `host_netns` is "" for the own namespace."""
    argv = [python, "-m", "vpn.agent", "--state", str(state)]
    return [*argv, "--host-netns", host_netns] if host_netns else argv
