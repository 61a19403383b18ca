"""The web server: the limits of one client, in time, size, connections and threads."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from portal.serving import limits
from portal.serving.gateway import Gateway
from portal.serving.protocol import connections
from portal.web.later import ENVIRON_KEY
from tests.portal.served import PATIENCE, Peer, Start, ask, hello, serve, wait_until

SLOW_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits for tests: what takes its time is over soon."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(limits, name, 0.3)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits for tests: nothing is ended because the machine is busy."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(limits, name, 300.0)


@pytest.mark.parametrize("said", [b"", SLOW_HEAD, SLOW_BODY], ids=["nothing", "head", "body"])
@pytest.mark.usefixtures("short")
def test_what_is_not_whole_in_time_is_ended_however_much_of_it_comes(said: bytes) -> None:
    with serve() as port:
        peer = Peer(port, said)
        ended = threading.Event()

        def trickle() -> None:
            while not ended.wait(0.05):
                peer.say(b"a" if said else b"")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            heard = peer.hear()
        finally:
            ended.set()
            thread.join()
        assert heard == b"" or heard.startswith(b"HTTP/1.1 408")
        assert len(connections) == 0


@pytest.mark.usefixtures("short")
def test_an_answer_that_is_not_taken_is_dropped() -> None:
    asked = threading.Event()

    def large(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        asked.set()
        start_response("200 OK", [])
        return [b"x" * 30_000_000]

    with serve(large) as port:
        peer = Peer(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", receive_buffer=4096)
        assert asked.wait(PATIENCE)
        wait_until(lambda: len(connections) == 0)
        peer.close()


def test_large_answers_that_are_not_taken_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of the address that holds most goes; a quick reader has all of its answer."""

    def large(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * size]

    size = 10_000_000
    monkeypatch.setattr(limits, "WRITE_SECONDS", 300.0)
    gateway = Gateway(large)
    gateway.unsent.most = 45_000_000

    def holds(total: int) -> bool:
        return gateway.unsent.size == total

    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serve(gateway=gateway) as port:
        modest = Peer(port, request, "127.0.0.2", receive_buffer=4096)
        wait_until(partial(holds, size))
        greedy = []
        for number in range(1, 8):
            greedy.append(Peer(port, request, "127.0.0.3", receive_buffer=4096))
            wait_until(partial(holds, min(number + 1, 4) * size))
        assert ask(port, source="127.0.0.4").count(b"x") >= 10_000_000
        assert gateway.unsent.size <= 45_000_000
        assert modest.hear().count(b"x") >= 10_000_000, "who has one is left alone"
        for peer in greedy:
            peer.close()


def test_a_request_that_takes_long_to_answer_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for the request to be whole on a busy machine, and over while it is answered.
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(limits, name, 1.0)

    def slow(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        threading.Event().wait(2.0)
        return hello(environ, start_response)

    with serve(slow) as port:
        assert ask(port, body=b"abc").endswith(b"POST / 3")


@pytest.mark.usefixtures("patient")
def test_the_oldest_unfinished_connection_of_an_address_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "per_address", 3)
    with serve() as port:
        other = Peer(port, SLOW_HEAD, "127.0.0.2")
        slow = [Peer(port, SLOW_HEAD) for _ in range(3)]
        wait_until(lambda: len(connections) == 4)
        assert ask(port).endswith(b"GET / 0"), "the newest is let in, also from an address that has too many"
        assert [peer.is_open() for peer in [other, *slow]] == [True, False, True, True]
        for peer in [other, *slow]:
            peer.close()


@pytest.mark.usefixtures("patient")
def test_a_full_server_lets_the_busiest_address_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "total", 4)
    with serve() as port:
        few = Peer(port, SLOW_HEAD, "127.0.0.2")
        many = [Peer(port, SLOW_HEAD, "127.0.0.3") for _ in range(3)]
        wait_until(lambda: len(connections) == 4)
        assert ask(port).endswith(b"GET / 0")
        assert [peer.is_open() for peer in [few, *many]] == [True, False, True, True]
        for peer in [few, *many]:
            peer.close()


@pytest.mark.usefixtures("patient")
def test_a_trusted_proxy_has_as_many_connections_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "per_address", 2)
    monkeypatch.setattr(connections, "is_trusted", lambda address: address == "127.0.0.9")
    with serve() as port:
        proxy = [Peer(port, SLOW_HEAD, "127.0.0.9") for _ in range(4)]
        wait_until(lambda: len(connections) == 4)
        assert all(peer.is_open() for peer in proxy)
        for peer in proxy:
            peer.close()


def test_one_address_never_has_all_threads() -> None:
    release, taken = threading.Event(), threading.Semaphore(0)

    def busy(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/long":
            taken.release()
            release.wait(30)
        return hello(environ, start_response)

    with serve(busy) as port:
        request = b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        greedy = [Peer(port, request, "127.0.0.2") for _ in range(limits.THREADS + 4)]
        for _ in range(limits.THREADS_PER_ADDRESS):
            assert taken.acquire(timeout=30)
        assert ask(port, "/short").endswith(b"GET /short 0")
        release.set()
        assert all(peer.hear().endswith(b"GET /long 0") for peer in greedy)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_refused_before_it_is_kept(chunked: bool) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    length = (
        b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % (limits.BODY_SIZE + 1)
    )
    with serve() as port:
        peer = Peer(port, head + length)
        if chunked:
            for _ in range(limits.BODY_SIZE // 65536 + 2):
                peer.say(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert peer.hear().startswith(b"HTTP/1.1 413")


def test_a_body_in_chunks_of_one_byte_takes_no_time_from_others() -> None:
    with serve() as port:
        peer = Peer(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", "127.0.0.2")
        for _ in range(30):
            peer.say(b"1\r\na\r\n" * 10_000)
        peer.say(b"0\r\n\r\n")
        assert b"POST / 300000" not in peer.hear(), "it was ended half-way"
        assert ask(port, body=b"x" * (limits.BODY_SIZE - 1)).endswith(b"POST / %d" % (limits.BODY_SIZE - 1))


def test_a_head_that_is_too_large_is_refused() -> None:
    with serve() as port:
        assert Peer(port, SLOW_HEAD + b"x" * limits.HEAD_SIZE).hear().startswith(b"HTTP/1.1 400")


@pytest.mark.usefixtures("patient")
def test_a_worker_that_ends_waits_for_no_slow_client(caplog: pytest.LogCaptureFixture) -> None:
    """Its time to end is a second here: no request is cut off with an error, and what waits has its answer."""
    waits = threading.Event()

    def never() -> bool:
        waits.set()
        return False

    def app(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        environ[ENVIRON_KEY].ready, environ[ENVIRON_KEY].seconds = never, 60.0
        start_response("503 Service Unavailable", [("Content-Length", "7")])
        return [b"not yet"]

    with serve(app) as port:
        slow = [Peer(port, said) for said in (SLOW_HEAD, SLOW_BODY)]
        waiting = Peer(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert waits.wait(30)
        wait_until(lambda: len(connections) == 3)
    assert waiting.hear().endswith(b"not yet")
    for peer in slow:
        peer.hear()
        peer.close()
    assert [record for record in caplog.records if record.levelname == "ERROR" and record.exc_info] == []
