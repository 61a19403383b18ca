"""The web server: what it passes on to Django of a request, and answers that Django lets it wait for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from portal.web.later import ENVIRON_KEY
from tests.portal.served import Peer, Start, ask, hello, serve, wait_until


@pytest.fixture
def told() -> dict[str, Any]:
    """What the application is told of a request with everything that could mislead it."""
    environ: dict[str, Any] = {}

    def tell(asked: dict[str, Any], start_response: Start) -> list[bytes]:
        environ.update(asked)
        return hello(asked, start_response)

    with serve(tell) as port:
        headers = ["X_Forwarded_For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-For: 192.0.2.3"]
        cookies = ["Cookie: a=1", "Cookie: b=2"]
        ask(port, "/caf%C3%A9/%2F?q=%20", *headers, *cookies, "Portal.Later: x", body=b"abc", source="127.0.0.5")
    return environ


def test_django_is_told_what_the_client_said_and_from_where(told: dict[str, Any]) -> None:
    assert told["REMOTE_ADDR"] == "127.0.0.5"
    assert told["PATH_INFO"] == "/caf\u00c3\u00a9//", "bytes of UTF-8 as PEP 3333 has them"
    assert (told["QUERY_STRING"], told["CONTENT_LENGTH"]) == ("q=%20", "3")
    assert told["HTTP_X_FORWARDED_FOR"] == "192.0.2.2,192.0.2.3", "a header with an underscore passes for no other"
    assert told["HTTP_COOKIE"] == "a=1; b=2"
    assert told[ENVIRON_KEY].ready is None


def test_a_whole_url_is_asked_for_by_its_path() -> None:
    with serve() as port:
        assert ask(port, "http://localhost/a/b?c=d").endswith(b"GET /a/b 0")
        assert ask(port, "http://localhost").endswith(b"GET / 0")


@pytest.mark.parametrize(
    "said",
    [
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["no URL", "CONNECT", "two lengths"],
)
def test_what_may_be_read_in_two_ways_is_refused_and_the_connection_ends(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serve() as port:
        heard = Peer(port, said + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n").hear()
    assert heard.startswith(b"HTTP/1.1 400")
    assert b"smuggled" not in heard
    assert [record for record in caplog.records if record.exc_info] == [], "a stranger fills no log with tracebacks"


def test_connections_are_used_again_and_a_head_has_no_body() -> None:
    with serve() as port:
        peer = Peer(port, b"HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n")
        peer.say(b"GET /c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        heard = peer.hear()
    assert heard.count(b"HTTP/1.1 200") == 3
    assert b"HEAD /a" not in heard
    assert heard.index(b"GET /b 0") < heard.index(b"GET /c 0")


def test_an_answer_that_may_come_is_waited_for_without_a_thread() -> None:
    """More requests than threads wait, and the one that brings what they wait for is served."""
    ready = threading.Event()
    tries: list[str] = []

    def app(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/ready":
            ready.set()
        elif not ready.is_set():
            environ[ENVIRON_KEY].ready, environ[ENVIRON_KEY].seconds = ready.is_set, 30.0
            tries.append(environ["wsgi.input"].read().decode())
            start_response("503 Service Unavailable", [])
            return [b"not yet"]
        return hello(environ, start_response)

    with serve(app) as port:
        request = b"POST /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        waiting = [Peer(port, request) for _ in range(20)]
        wait_until(lambda: len(tries) == 20)
        assert ask(port, "/ready").endswith(b"GET /ready 0")
        assert all(peer.hear().endswith(b"POST /wait 3") for peer in waiting), "the body is there again"
    assert tries == ["abc"] * 20, "the application ran once more for each, and not again and again"


def test_an_answer_that_does_not_come_is_sent_as_it_is() -> None:
    def app(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        environ[ENVIRON_KEY].ready, environ[ENVIRON_KEY].seconds = lambda: False, 0.3
        start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Length", "7")])
        return [b"not yet"]

    with serve(app) as port:
        heard = ask(port)
    assert heard.startswith(b"HTTP/1.1 503")
    assert heard.endswith(b"not yet")
