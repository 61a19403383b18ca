"""`serve`: one process that has loaded the agent, and forks the watch and a process for each session.

They share its memory, and a session starts without loading the agent again.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, NoReturn

from vpn.agent.lifecycle.host import Host
from vpn.agent.session import session
from vpn.agent.system import files
from vpn.agent.watch import watch
from vpn.wire import agent_socket

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PR_SET_NAME: Final = 15
_ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED: Final = _ENDING | {signal.SIGCHLD}


def serve(host: Host) -> bool:
    """Watch over the hubs and answer sessions until SIGTERM or SIGINT; return False if the watch ended by itself."""
    files.private_directory(host.state.directory)
    received, wakeup = socket.socketpair()
    received.setblocking(False)
    wakeup.setblocking(False)
    for number in _HANDLED:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno())
    # A collection in a child would otherwise copy the pages that it shares.
    gc.collect()
    gc.freeze()
    with closing(agent_socket.listen(host.state.directory)) as listening:
        watching = _fork("watch", lambda: _watch(host), [listening, received, wakeup])
        while True:
            ready, _, _ = select.select([listening, received], [], [])
            if received in ready:
                if _ENDING & set(received.recv(4096)):
                    break
                if _has_ended(watching):
                    return False
            if listening in ready:
                _answer(host, listening, [received, wakeup])
    os.kill(watching, signal.SIGTERM)
    os.waitpid(watching, 0)
    return True


def _watch(host: Host) -> None:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:
        watch(host)


def _answer(host: Host, listening: socket.socket, ours: list[socket.socket]) -> None:
    """Answer a connection in a process of its own, which ends with the connection."""
    connection, _ = listening.accept()
    with connection:

        def answer() -> None:
            with suppress(ConnectionError):  # the worker was killed before the reply
                agent_socket.send_process(connection)
                with connection.makefile("r") as requests, connection.makefile("w") as replies:
                    session(host, requests, replies)

        _fork("session", answer, [listening, *ours])


def _fork(name: str, run: Callable[[], None], others: list[socket.socket]) -> int:
    """Run a function in a child without the sockets of `others`; return the child's pid."""
    # A signal to the child must not reach this process through the wakeup socket, which both have at first.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if not pid:
            _be(name, run, others)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)


def _be(name: str, run: Callable[[], None], others: list[socket.socket]) -> NoReturn:
    """Be the child."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        for other in others:
            other.close()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, f"agent-{name}".encode(), 0, 0, 0)
        run()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may return to the parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _has_ended(watching: int) -> bool:
    """Take note of all children that have ended; return True if the watch is one of them."""
    ended = set()
    try:
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            ended.add(pid)
    except ChildProcessError:
        pass  # none is left
    return watching in ended
