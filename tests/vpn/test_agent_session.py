"""The session with an agent: no answer is ever taken for another's, and no agent keeps its caller waiting."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from tests.made_up_agent import AGENT
from vpn.wire.session import AgentSession, Pipes, SessionBroken, pipes_of

# Far more than a pipe holds: an agent that reads nothing blocks whoever writes that.
LARGE = "x" * 4_000_000


class TimeIsOver(Exception):
    """What rq raises in the middle of a job that takes too long."""


@pytest.fixture
def started() -> list[subprocess.Popen[bytes]]:
    """The agents' processes, in their order."""
    return []


@pytest.fixture
def make(started: list[subprocess.Popen[bytes]]) -> Iterator[Callable[..., AgentSession]]:
    """Makes sessions with an agent that is made up."""
    made: list[AgentSession] = []

    def start() -> Pipes:
        started.append(subprocess.Popen([sys.executable, "-c", AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return pipes_of(started[-1])

    def session(**options: float) -> AgentSession:
        made.append(AgentSession(start, **options))  # type: ignore[arg-type]
        return made[-1]

    yield session
    for each in made:
        each.close()
    assert all(process.poll() is not None for process in started)


def status(session: AgentSession, hub: str) -> dict[str, object]:
    report = session.ask({"command": "status", "hub": hub})["report"]
    assert report["hub"] == hub
    return dict(report)


def test_a_session_is_open_until_its_agent_ends(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    session = make()
    assert not session.is_open()
    status(session, "t1")
    assert session.is_open()
    started[0].kill()
    started[0].wait()
    assert not session.is_open()
    status(session, "t1")
    assert session.is_open()


def test_the_session_stays(make: Callable[..., AgentSession]) -> None:
    session = make()
    assert status(session, "quickhub01")["process"] == status(session, "quickhub02")["process"]


def test_an_idle_session_ends_and_the_next_request_opens_another(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    session = make()
    first = status(session, "quickhub01")
    session.close_idle(600.0)
    assert status(session, "quickhub02")["process"] == first["process"], "it was used just now"
    session.close_idle(0.0)
    assert started[0].poll() is not None
    assert status(session, "quickhub03")["process"] != first["process"]


def test_a_session_that_waits_for_an_answer_is_not_idle(make: Callable[..., AgentSession]) -> None:
    session = make()
    status(session, "quickhub01")
    is_over = threading.Event()

    def close_all_the_time() -> None:
        while not is_over.wait(0.01):
            session.close_idle(0.0)

    closing = threading.Thread(target=close_all_the_time)
    closing.start()
    try:
        for _ in range(5):
            status(session, "quickhub02")
    finally:
        is_over.set()
        closing.join()


def test_an_answer_to_a_job_that_was_ended_is_not_the_next_ones(make: Callable[..., AgentSession]) -> None:
    session = make()
    status(session, "quickhub01")

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise TimeIsOver

    def ask_until_the_alarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        status(session, "slowhub001")

    before = signal.signal(signal.SIGALRM, end)
    try:
        with pytest.raises(TimeIsOver):
            ask_until_the_alarm()
    finally:
        signal.signal(signal.SIGALRM, before)
    status(session, "quickhub02")


def test_an_answer_to_something_else_is_refused(make: Callable[..., AgentSession]) -> None:
    with pytest.raises(SessionBroken, match="not the answer"):
        status(make(), "forgetful1")


def test_an_answer_without_end_is_not_read(make: Callable[..., AgentSession]) -> None:
    with pytest.raises(SessionBroken, match="without end"):
        status(make(largest_answer=2_000_000), "endless001")


def test_what_comes_unasked_ends_the_session(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    """It would be taken for the answer to what is asked next."""
    session = make(attempts=1)
    first = status(session, "chatty0001")["process"]
    assert started[0].stdout is not None
    assert select.select([started[0].stdout], [], [], 60)[0]
    assert status(session, "quickhub01")["process"] != first


def test_an_agent_that_does_not_answer_is_given_up(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    with pytest.raises(SessionBroken, match="no answer within 1 s"):
        status(make(answer_seconds=1.0, attempts=1), "stuckhub01")
    assert started[0].poll() is not None


def test_an_agent_that_hangs_is_not_asked_again(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    with pytest.raises(SessionBroken, match="no answer within 1 s"):
        status(make(answer_seconds=1.0), "stuckhub01")
    assert len(started) == 1


def test_an_agent_that_reads_nothing_is_given_up(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    session = make(attempts=1)
    status(session, "quickhub01")
    session._answer_seconds = 1.0  # not before: a busy machine starts the agent slowly
    os.kill(started[0].pid, signal.SIGSTOP)
    with pytest.raises(SessionBroken, match="no answer within 1 s"):
        session.ask({"command": "apply", "hub": "quickhub01", "spec": LARGE})
    assert started[0].poll() is not None


def test_a_request_larger_than_a_pipe_arrives_whole(make: Callable[..., AgentSession]) -> None:
    answer = make().ask({"command": "apply", "hub": "quickhub01", "spec": LARGE})
    assert answer["report"]["bytes"] > len(LARGE)


def test_an_agent_that_dies_is_asked_once_more(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    with pytest.raises(SessionBroken, match="it ended"):
        status(make(), "dyinghub01")
    assert len(started) == 2


def test_an_agent_that_ended_meanwhile_costs_no_attempt(
    make: Callable[..., AgentSession], started: list[subprocess.Popen[bytes]]
) -> None:
    session = make(attempts=1)
    status(session, "lasthub001")
    started[0].wait(60)
    status(session, "quickhub01")


def test_threads_take_turns(make: Callable[..., AgentSession]) -> None:
    session, found = make(), list[str]()

    def ask(hub: str) -> None:
        found.append(str(status(session, hub)["hub"]))

    threads = [threading.Thread(target=ask, args=(f"quickhub{number:02}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 20


def test_any_pair_of_pipes_will_do() -> None:
    """The other end of a socket as well: drivers bring their own way to a server."""
    here, there = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-c", AGENT], stdin=there.fileno(), stdout=there.fileno())
    there.close()

    def end() -> None:
        process.kill()
        process.wait()
        here.close()

    session = AgentSession(lambda: Pipes(answers=here.fileno(), requests=here.fileno(), end=end))
    try:
        status(session, "quickhub01")
        status(session, "quickhub02")
    finally:
        session.close()


def test_it_needs_the_standard_library_alone() -> None:
    program = "import sys, vpn.wire.session; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
