"""Health checks of the upstream resolvers, from each hub's namespace, in background threads.

A status request never waits for a check: it returns the last result.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.system.command import NAMESPACES

EVERY: Final = 20.0  # seconds between two checks of the same server
_PATIENCE: Final = 1.2  # seconds for an answer; the query is sent twice
_TRIES: Final = 2
# A server counts as down after this many unanswered rounds in a row: one packet may be lost.
_SILENT_AFTER: Final = 2
_MOST_AT_ONCE: Final = 8
_PORT: Final = 53
_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of setns(2)
_SERVER_FAILURE: Final = 2
# A recursive query for the root's name servers (RFC 1035), which every resolver can answer.
_QUESTION: Final = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"


@dataclass
class _Known:
    """The check results of one hub's servers: which ever answered, the failures in a row of each, and the last time."""

    servers: tuple[str, ...]
    asked_at: float = -EVERY
    heard: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def unheard(self) -> set[str]:
        """The servers that have never answered this agent."""
        return set(self.servers) - self.heard


@dataclass
class Upstreams:
    """The check results of all hubs' servers, and the threads that check."""

    known: dict[str, _Known] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    def answers(self, hub: str, netns: str, servers: Sequence[str]) -> dict[str, bool] | None:
        """Return by server whether it answers, or None before the first result. Starts a check if one is due."""
        known = self.known.get(hub)
        if known is None or known.servers != tuple(servers):
            known = self.known[hub] = _Known(tuple(servers))
        if servers and time.monotonic() - known.asked_at > EVERY:
            self._ask_soon(netns, known)
        # Shortly after the agent's start, a server that has failed only once is neither up nor down.
        if not known.failures or any(0 < known.failures.get(one, 0) < _SILENT_AFTER for one in known.unheard):
            return None
        return {server: known.failures.get(server, 0) < _SILENT_AFTER for server in servers}

    def _ask_soon(self, netns: str, known: _Known) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= _MOST_AT_ONCE:
            return  # Too many checks are running: a later status request starts this one.
        known.asked_at = time.monotonic()
        thread = threading.Thread(target=_ask, args=(netns, known), name="upstreams", daemon=True)
        self._threads.append(thread)
        thread.start()


def _ask(netns: str, known: _Known) -> None:
    """Query a hub's servers from its namespace, in a separate thread, and record which answered."""
    try:
        sockets = _sockets(netns, known.servers)
    except OSError:
        return  # The hub is being removed, or the agent lacks the right: there is no result then.
    try:
        heard = _round(sockets)
    finally:
        for each in sockets.values():
            each.close()
    known.heard |= heard
    known.failures = {server: 0 if server in heard else known.failures.get(server, 0) + 1 for server in known.servers}


def _sockets(netns: str, servers: Sequence[str]) -> dict[str, socket.socket]:
    """Return a socket inside the namespace for each server that has a route."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"{NAMESPACES}/{netns}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            return _opened(servers)
        finally:
            # Return to the agent's own namespace: a thread left inside would keep the hub's namespace alive.
            _enter(own)
            os.close(there)
    finally:
        os.close(own)


def _opened(servers: Sequence[str]) -> dict[str, socket.socket]:
    found = {}
    for server in servers:
        udp = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.setblocking(False)
            udp.connect((server, _PORT))
        except OSError:
            udp.close()
        else:
            found[server] = udp
    return found


def _enter(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _round(sockets: dict[str, socket.socket]) -> set[str]:
    """Return the servers that answered."""
    heard: set[str] = set()
    identifiers = {server: os.urandom(2) for server in sockets}
    for _ in range(_TRIES):
        waiting = {udp: server for server, udp in sockets.items() if server not in heard}
        for udp, server in waiting.items():
            _send(udp, identifiers[server] + _QUESTION)
        deadline = time.monotonic() + _PATIENCE
        while waiting and (left := deadline - time.monotonic()) > 0:
            for udp in select.select(list(waiting), [], [], left)[0]:
                if _is_answered(udp, identifiers[waiting[udp]]):
                    heard.add(waiting.pop(udp))
    return heard


def _send(udp: socket.socket, message: bytes) -> None:
    # Refused, or no route: then there is no answer.
    with contextlib.suppress(OSError):
        udp.send(message)


def _is_answered(udp: socket.socket, identifier: bytes) -> bool:
    try:
        message = udp.recv(4096)
    except OSError:
        return False
    is_reply = len(message) >= 12 and message[:2] == identifier and bool(message[2] & 0x80)
    return is_reply and message[3] & 15 != _SERVER_FAILURE
