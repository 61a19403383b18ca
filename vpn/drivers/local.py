"""Hubs on the worker's own machine: the agent runs as a subprocess that stays."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from vpn.drivers.base import Found, Knock, Unreachable
from vpn.drivers.knocking import knock_on
from vpn.drivers.outside import Host, NoPlace, Posts
from vpn.wire.errors import parse_error
from vpn.wire.report import HubReport, ReportInvalidError, parse_report

logger = logging.getLogger(__name__)

# Below the job's own limit, so that the job can still say what happened.
_ANSWER_SECONDS = 25.0
_LARGEST_ANSWER = 64 * 1024 * 1024


class LocalDriver:
    """Keeps one agent session open per worker process; a session that died is opened anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._asked = 0
        self._posts: Posts | None = None

    def check(self) -> None:
        """Make sure that the agent answers."""
        self._call({"command": "list"})

    def apply(self, document: dict[str, Any], *, delta: bool) -> HubReport:
        """Hand over a HubSpec or a HubDelta."""
        if delta:
            return self._report({"command": "apply-delta", "delta": document})
        return self._report({"command": "apply", "spec": document})

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """Ask what the hub does."""
        return self._report({"command": "status", "hub": hub, "peers": peers})

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Take the hub away."""
        self._call({"command": "destroy", "hub": hub, "epoch": epoch, "generation": generation})

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Knock from outside of this machine's loopback: of the namespace that plays the host, where one is set."""
        try:
            return knock_on(self._posts_of(settings.HUB_HOST_NETNS or ""), knocks, timeout)
        except (NoPlace, OSError, ValueError) as error:
            raise Unreachable(f"The proof could not be run on this machine ({type(error).__name__}).") from error

    def _posts_of(self, netns: str) -> Posts:
        if self._posts is None or self._posts.host.netns != netns:
            self._posts = Posts(Host(netns))
        return self._posts

    def _report(self, request: dict[str, Any]) -> HubReport:
        try:
            return parse_report(self._call(request).get("report"))
        except ReportInvalidError as error:
            raise Unreachable(f"The agent answered with a report that makes no sense: {error}.") from error

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                answer = self._exchange(request)
            except (OSError, ValueError) as error:
                # Every request is idempotent, so a session that broke is opened anew, once.
                logger.warning("The agent's session broke (%s); opening another", error)
                try:
                    answer = self._exchange(request)
                except (OSError, ValueError) as again:
                    raise Unreachable(f"The agent on this machine does not answer ({again}).") from again
        if "error" in answer:
            raise parse_error(answer["error"])
        return answer

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Whatever else happens ends the session: rq raises anywhere when a job's time is
        over, and an answer that is still to come would be taken for that to the next request.
        """
        self._asked += 1
        line = json.dumps({**request, "id": self._asked}, separators=(",", ":")).encode() + b"\n"
        try:
            return _answer_to(self._asked, self._converse(line))
        except BaseException:
            self._end_session()
            raise

    def _converse(self, line: bytes) -> bytes:
        process = self._session()
        assert process.stdin is not None  # noqa: S101 - opened with pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(line)
        process.stdin.flush()
        deadline = time.monotonic() + _ANSWER_SECONDS
        descriptor = process.stdout.fileno()
        chunks = [self._buffer]
        self._buffer = b""
        left = _LARGEST_ANSWER
        while b"\n" not in chunks[-1]:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(descriptor, 1 << 20) if ready else b""
            if not chunk:
                raise OSError("it ended" if ready else f"no answer within {_ANSWER_SECONDS:.0f} s")
            left -= len(chunk)
            if left < 0:
                raise ValueError("an answer without end")
            chunks.append(chunk)
        text, _, self._buffer = b"".join(chunks).partition(b"\n")
        return text

    def _session(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._buffer = b""
            self._process = subprocess.Popen(  # noqa: S603 - an argument list of our own
                [*agent_command(), "session"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=settings.BASE_DIR,
            )
        return self._process

    def close(self) -> None:
        """End the session, and what knocks; the next call opens others."""
        if self._posts is not None:
            self._posts.close()
        self._end_session()

    def _end_session(self) -> None:
        process, self._process = self._process, None
        self._buffer = b""
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _answer_to(number: int, text: bytes) -> dict[str, Any]:
    answer = json.loads(text)
    if not isinstance(answer, dict) or answer.get("id") != number:
        raise ValueError("not the answer to this request")
    return answer


def agent_command() -> list[str]:
    """The argument list that starts this machine's agent, without its command."""
    command = [sys.executable, "-m", "vpn.agent", "--state", str(settings.HUB_STATE_DIR)]
    return [*command, "--host-netns", settings.HUB_HOST_NETNS] if settings.HUB_HOST_NETNS else command


driver = LocalDriver()
