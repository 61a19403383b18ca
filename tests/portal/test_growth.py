"""A process notices how much memory it has taken since its start, and ends when it is idle."""

from __future__ import annotations

import socket

import pytest
import uvicorn

from portal import growth
from portal.growth import Growth, own_memory
from portal.serving import web
from tests.portal.served import Peer, serve, wait_until


def test_a_process_that_has_grown_notices_but_not_just_after_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_MOST", own_memory() + 20 * 1024)
    young, old = Growth(), Growth(least_age=0.0)
    assert not old.is_too_large()
    taken = bytearray(b"a large job " * 4_000_000)
    monkeypatch.setattr(growth, "_CHECKED_EVERY", 0.0)
    assert Growth(least_age=0.0).is_too_large()
    assert not old.is_too_large(), "it looks from time to time"
    assert not young.is_too_large()
    del taken


def test_a_web_worker_that_has_grown_ends_when_no_client_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    has_grown: list[bool] = []
    monkeypatch.setattr(Growth, "is_too_large", lambda _: bool(has_grown))
    monkeypatch.setattr(web, "_ENDS_AFTER", 0.0)
    monkeypatch.setattr(uvicorn.Server, "main_loop", web._main_loop)
    with serve() as port:
        peer = Peer(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
        has_grown.append(True)
        peer.say(b"\r\n")
        assert peer.hear().startswith(b"HTTP/1.1 200")
        wait_until(lambda: not _is_listening(port))


def _is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
