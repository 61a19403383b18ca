"""`serve`: the watch and the sessions are processes of one agent, and a session ends with its connection."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab.waiting import wait_until
from vpn.wire import agent_socket
from vpn.wire.session import AgentSession

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state() -> Iterator[Path]:
    # Unix sockets have little room for paths.
    with tempfile.TemporaryDirectory(prefix="agent-", dir="/tmp") as directory:
        yield Path(directory, "hub")


@pytest.fixture
def agent(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "vpn.agent", "--state", str(state), "serve"]
    with (state.parent / "errors").open("wb") as errors, subprocess.Popen(argv, cwd=ROOT, stderr=errors) as process:
        try:
            wait_until(lambda: _answers(state), 60, "the agent")
            wait_until(lambda: _children(process, "agent-watch"), 60, "the watch")
            yield process
        finally:
            process.kill()


def _answers(state: Path) -> bool:
    with suppress(OSError):
        agent_socket.connect(state).end()
        return True
    return False


def _children(process: subprocess.Popen[bytes], name: str) -> list[int]:
    found = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(int(pid))
    return found


def _session(state: Path) -> AgentSession:
    return AgentSession(lambda: agent_socket.connect(state), attempts=1)


def test_sessions_are_processes_of_their_own(agent: subprocess.Popen[bytes], state: Path) -> None:
    sessions = [_session(state) for _ in range(3)]
    assert [session.ask({"command": "list"})["hubs"] for session in sessions] == [[]] * 3
    wait_until(lambda: len(_children(agent, "agent-session")) == 3, 60, "a process for each")
    sessions[0].close()
    wait_until(lambda: len(_children(agent, "agent-session")) == 2, 60, "the end of the first")
    assert sessions[1].ask({"command": "list"})["hubs"] == []


def test_a_session_that_hangs_is_ended(agent: subprocess.Popen[bytes], state: Path) -> None:
    session = _session(state)
    session.ask({"command": "list"})
    [hanging] = _children(agent, "agent-session")
    os.kill(hanging, signal.SIGSTOP)
    session.close()
    wait_until(lambda: not _children(agent, "agent-session"), 60, "its end")
    assert session.ask({"command": "list"})["hubs"] == [], "the next request opens another"


def test_a_session_ends_with_a_client_that_was_killed(agent: subprocess.Popen[bytes], state: Path) -> None:
    """The kernel closes its connection; the end of the session is not asked for."""
    program = "import sys, time; from pathlib import Path; from vpn.wire import agent_socket\n"
    program += "pipes = agent_socket.connect(Path(sys.argv[1])); print(flush=True); time.sleep(600)"
    argv = [sys.executable, "-c", program, str(state)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        wait_until(lambda: _children(agent, "agent-session"), 60, "the session")
        client.kill()
    wait_until(lambda: not _children(agent, "agent-session"), 60, "its end")


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_is_gone_before_the_reply_is_no_fault(
    agent: subprocess.Popen[bytes], state: Path, waits: bool
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(state / "agent.sock"))
        if waits:
            for descriptor in socket.recv_fds(client, 1, 1)[1]:
                os.close(descriptor)
        client.sendall(b'{"command": "list"}\n' * 50)
    session = _session(state)
    assert session.ask({"command": "list"})["hubs"] == [], "the agent has accepted the other connection before"
    session.close()
    wait_until(lambda: not _children(agent, "agent-session"), 60, "the end of both")
    assert "Traceback" not in (state.parent / "errors").read_text()


def test_the_agent_ends_with_its_watch(agent: subprocess.Popen[bytes], state: Path) -> None:
    """So that the supervisor starts both again; a session goes on meanwhile."""
    session = _session(state)
    session.ask({"command": "list"})
    [watching] = _children(agent, "agent-watch")
    os.kill(watching, signal.SIGKILL)
    assert agent.wait(60) == 1
    assert session.ask({"command": "list"})["hubs"] == []
    session.close()


def test_a_signal_ends_the_agent_and_its_watch(agent: subprocess.Popen[bytes], state: Path) -> None:
    [watching] = _children(agent, "agent-watch")
    agent.terminate()
    assert agent.wait(60) == 0
    assert not Path(f"/proc/{watching}").exists()
    with pytest.raises(OSError, match="refused"):
        agent_socket.connect(state)


def test_only_the_owner_may_ask(agent: subprocess.Popen[bytes], state: Path) -> None:
    assert state.stat().st_mode & 0o077 == 0
    assert (state / "agent.sock").stat().st_mode & 0o077 == 0
