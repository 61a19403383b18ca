"""What an admin typed is read from public addresses alone: names, second answers, redirects, size and time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
from django.conf import LazySettings

from portal.configuration.networks import parse_networks
from portal.web import public_fetch
from portal.web.public_fetch import FetchFault, fetch, in_turn, is_public, url_fault

PRIVATE = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "192.0.0.1"),  # noqa: S104
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:192.168.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1"),
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "::ffff:1.1.1.1", "64:ff9b::101:101", "2606:4700:4700::1111"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_no_public_host_is_not_read(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_read(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were connected to; none answers."""
    found: list[str] = []

    def dial(place: tuple[str, int], **_: Any) -> Any:
        found.append(place[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", dial)
    return found


def answers(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> list[str]:
    """Let the resolver give these answers, one after the other; the names that it was asked for."""
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return rounds[min(len(asked), len(rounds)) - 1]

    monkeypatch.setattr(public_fetch, "resolve", resolve)
    return asked


@pytest.mark.parametrize("found", [["10.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["1.1.1.1", "::1"], ["::ffff:10.0.0.1"]])
def test_a_name_with_a_private_address_among_others_is_refused(
    monkeypatch: pytest.MonkeyPatch, dialled: list[str], found: list[str]
) -> None:
    answers(monkeypatch, found)
    with pytest.raises(FetchFault, match="private network"):
        fetch("https://login.example.com/")
    assert dialled == []


def test_a_second_answer_of_the_resolver_changes_nothing(monkeypatch: pytest.MonkeyPatch, dialled: list[str]) -> None:
    """DNS rebinding: the first answer is public, every later one is this machine."""
    asked = answers(monkeypatch, ["1.1.1.1"], ["127.0.0.1"])
    with pytest.raises(FetchFault, match="cannot be reached"):
        fetch("https://login.example.com/")
    assert asked == ["login.example.com"]
    assert dialled == ["1.1.1.1"]
    with pytest.raises(FetchFault, match="private network"):
        fetch("https://login.example.com/")


@pytest.fixture
def rebinding(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A DNS server on loopback: its first answers for IPv4 are public, every later one is this machine."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    asked: list[str] = []

    def answer() -> None:
        while True:
            try:
                wire, client = server.recvfrom(4096)
            except OSError:
                return
            question = dns.message.from_wire(wire)
            reply = dns.message.make_response(question)
            if question.question[0].rdtype == dns.rdatatype.A:
                asked.append(question.question[0].name.to_text())
                address = "1.1.1.1" if len(asked) == 1 else "127.0.0.1"
                reply.answer.append(dns.rrset.from_text(question.question[0].name, 0, "IN", "A", address))
            server.sendto(reply.to_wire(), client)

    threading.Thread(target=answer, daemon=True).start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.getsockname()[1]
    monkeypatch.setattr("dns.resolver.Resolver", lambda: resolver)
    yield asked
    server.close()


def test_a_name_server_that_rebinds_reaches_nothing(rebinding: list[str], dialled: list[str]) -> None:
    with pytest.raises(FetchFault, match="cannot be reached"):
        fetch("https://login.example.com/")
    assert (rebinding, dialled) == (["login.example.com."], ["1.1.1.1"])
    with pytest.raises(FetchFault, match="private network"):
        fetch("https://login.example.com/")
    assert dialled == ["1.1.1.1"]


def test_a_name_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch, dialled: list[str]) -> None:
    answers(monkeypatch, [])
    with pytest.raises(FetchFault, match="no host called"):
        fetch("https://login.example.com/")


@pytest.mark.parametrize("url", ["https://2130706433/", "https://127.1/", "https://0x7f.1/", "https://localhost/"])
def test_other_spellings_of_loopback_reach_nothing(dialled: list[str], url: str) -> None:
    with pytest.raises(FetchFault):
        fetch(url)
    assert dialled == []


@pytest.mark.parametrize("url", ["http://1.1.1.1/", "file:///etc/passwd", "https:///x", "gopher://1.1.1.1", "https://"])
def test_only_https_is_read(url: str) -> None:
    assert "https://" in url_fault(url)


# A web server on loopback, which a setting permits ------------------------------------------------------------------

Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]


@pytest.fixture
def serve(settings: LazySettings) -> Iterator[Serve]:
    """Serve pages on loopback by a function; gives the address."""
    settings.SIGN_IN_PROVIDER_NETWORKS = parse_networks("127.0.0.0/8")
    servers: list[HTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def say(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with this."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_json_is_read(serve: Serve) -> None:
    assert fetch(serve(say(b'{"a": 1}'))) == (200, {"a": 1})


def test_without_the_setting_loopback_is_not_read(serve: Serve, settings: LazySettings) -> None:
    url = serve(say(b"{}"))
    settings.SIGN_IN_PROVIDER_NETWORKS = ()
    with pytest.raises(FetchFault, match="begins with https"):
        fetch(url)
    settings.SIGN_IN_PROVIDER_NETWORKS = parse_networks("10.0.0.0/8")
    with pytest.raises(FetchFault, match="private network"):
        fetch(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(serve: Serve, status: int) -> None:
    asked: list[str] = []
    inner = serve(lambda handler: asked.append(handler.path))
    with pytest.raises(FetchFault, match="redirects elsewhere"):
        fetch(serve(say(b"", status, Location=inner)))
    assert asked == []


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", b"\xff", b"[" * 100_000])
def test_what_is_not_a_json_object_is_refused(serve: Serve, body: bytes) -> None:
    with pytest.raises(FetchFault, match="not with JSON"):
        fetch(serve(say(body)))


def test_a_long_answer_is_refused(serve: Serve) -> None:
    with pytest.raises(FetchFault, match="too long"):
        fetch(serve(say(b" " * 300_000)))


def test_an_answer_that_drips_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the whole does not."""
    monkeypatch.setattr(public_fetch, "_SECONDS", 0.5)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        ended = threading.Event()
        while not ended.wait(0.05):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                ended.set()

    begun = time.monotonic()
    with pytest.raises(FetchFault):
        fetch(serve(drip))
    assert time.monotonic() - begun < 5


def test_a_server_without_a_valid_certificate_is_refused(serve: Serve) -> None:
    url = serve(say(b"{}")).replace("http:", "https:")
    with pytest.raises(FetchFault, match="valid certificate"):
        fetch(url)


def test_reads_at_the_same_time_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_fetch, "_AT_ONCE", threading.BoundedSemaphore(1))
    with public_fetch._AT_ONCE, pytest.raises(FetchFault, match="Try again in a few seconds"):
        fetch("https://1.1.1.1/")


def test_one_reader_takes_half_of_the_reads() -> None:
    with in_turn("slow"), in_turn("slow"):
        with in_turn("other"):
            pass
        with pytest.raises(FetchFault, match="Try again"), in_turn("slow"):
            raise AssertionError("a third one reads")
    with in_turn("slow"):
        pass
