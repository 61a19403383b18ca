"""The portal's end of an agent's `session`: JSON lines over a pair of pipes, each answer told by its request's number.

How the pipes are opened is the caller's: a subprocess of this machine, or a program that reaches another one.
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
    """The agent gave no answer. The text says why, in a few words for a sentence."""


@dataclass(frozen=True)
class Pipes:
    """A way to an agent: file descriptors for answers and for requests, and what ends the agent and closes both.

    `end` is called once, at any time, and must not raise.
    """

    answers: int
    requests: int
    end: Callable[[], None]


class AgentSession:
    """Keeps one session open; one that broke is opened anew. Threads take turns.

    `open_pipes` raises OSError where there is no way to the agent. A request and its answer together may take
    `answer_seconds`. Every request of the agent is idempotent: one that got no answer is sent again, up to `attempts`
    times in all.
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
        self._pipes: Pipes | None = None
        self._asked = 0

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one request, without its number. Raises SessionBroken where there is none."""
        with self._turn:
            for left in reversed(range(self._attempts)):
                try:
                    return self._exchange(request)
                except (OSError, ValueError) as error:
                    if not left:
                        raise SessionBroken(str(error)) from error
                    logger.warning("The agent's session broke (%s); opening another", error)
        raise AssertionError("at least one attempt")

    def close(self) -> None:
        """End the session; the next request opens another."""
        pipes, self._pipes = self._pipes, None
        if pipes is not None:
            pipes.end()

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request. Whatever else happens ends the session: rq raises anywhere when a job's time is
        over, and an answer that is still to come would be taken for that to the next request.
        """
        self._asked += 1
        number = self._asked
        line = json.dumps({**request, "id": number}, separators=(",", ":")).encode() + b"\n"
        deadline = _Deadline(self._answer_seconds)
        try:
            pipes = self._ready()
            _send(pipes.requests, line, deadline)
            return _answer_to(number, _receive(pipes.answers, self._largest_answer, deadline))
        except BaseException:
            self.close()
            raise

    def _ready(self) -> Pipes:
        """The open pipes. What can be read before anything was asked is the session's end, or no answer of ours."""
        if self._pipes is not None and _waits(self._pipes.answers, select.POLLIN, 0):
            self.close()
        if self._pipes is None:
            self._pipes = self._open_pipes()
            os.set_blocking(self._pipes.requests, False)
        return self._pipes


class _Deadline:
    """A moment by which an answer must be complete."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def wait(self, descriptor: int, event: int) -> None:
        """Wait until a descriptor can be read or written; raises OSError when the time is over."""
        if not _waits(descriptor, event, max(0.0, self._ends - time.monotonic())):
            raise OSError(f"no answer within {self.seconds:.0f} s")


def _waits(descriptor: int, event: int, seconds: float) -> bool:
    # Unlike select(), poll() takes descriptors of any number.
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(seconds * 1000))


def _send(descriptor: int, line: bytes, deadline: _Deadline) -> None:
    rest = memoryview(line)
    while rest:
        deadline.wait(descriptor, select.POLLOUT)
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def _receive(descriptor: int, largest: int, deadline: _Deadline) -> bytes:
    """One line. Nothing may follow it: there is no other request that it could answer."""
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


def _answer_to(number: int, line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.pop("id", None) != number:
        raise ValueError("not the answer to this request")
    return answer


def pipes_of(process: subprocess.Popen[bytes]) -> Pipes:
    """The pipes to a process that was started with both; it is killed where they end."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise ValueError("the process has no pipes")

    def end() -> None:
        process.kill()
        process.wait()
        for pipe in (stdin, stdout):
            # What is still in a buffer has no reader any more.
            with contextlib.suppress(OSError):
                pipe.close()

    return Pipes(answers=stdout.fileno(), requests=stdin.fileno(), end=end)


def local_agent(python: str, state: Path, host_netns: str) -> list[str]:
    """How this machine's agent is called, up to its command; `host_netns` is "" for the machine's own namespace."""
    argv = [python, "-m", "vpn.agent", "--state", str(state)]
    return [*argv, "--host-netns", host_netns] if host_netns else argv
