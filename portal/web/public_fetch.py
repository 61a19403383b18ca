"""Reads JSON from an address that an admin of an organization typed, and never from a private network.

The name is resolved once and every address of it is checked. The connection goes to a checked address, so a second
answer of the resolver (DNS rebinding) changes nothing. Redirects are refused. Size and time are limited, and so is the
number of simultaneous reads, because each occupies a thread of the web process.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings

from portal.told import Told, in_words, told

URL_LENGTH: Final = 500
_SECONDS: Final = 8.0  # for one read, from the name to the last byte
_CONNECT_SECONDS: Final = 3.0
_MOST_BYTES: Final = 256 * 1024
_MOST_ADDRESSES: Final = 4
_AT_ONCE: Final = threading.BoundedSemaphore(4)
_AT_ONCE_FOR_ONE: Final = 2
_reading: Final[Counter[str]] = Counter()
_turn: Final = threading.Condition()
_GLOBAL_V6: Final = IPv6Network("2000::/3")
# Tunnels to an IPv4 address within the address: Teredo and 6to4. Nobody serves from there.
_TUNNELS: Final = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
# RFC 6052: networks without IPv4 reach public IPv4 hosts so.
_NAT64: Final = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


class FetchFault(Exception):
    """Nothing was read, for a reason as rows keep it (portal.told); the text is a sentence for an admin."""

    def __init__(self, why: Told) -> None:
        self.why = why
        super().__init__(why)

    def __str__(self) -> str:
        """The sentence in the active language."""
        return in_words(self.why)


class Answer(NamedTuple):
    """The status, and the JSON object of the body."""

    status: int
    document: dict[str, Any]


class _Target(NamedTuple):
    parts: SplitResult
    host: str
    port: int
    addresses: list[Address]


def is_public(address: Address) -> bool:
    """True for a unicast address of the public internet."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_V6 or any(address in tunnel for tunnel in _TUNNELS):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def url_fault(url: str) -> str:
    """Why an address is not one that could be read, without asking anybody; "" if it is."""
    why = why_unreadable(url)
    return "" if why is None else in_words(why)


def why_unreadable(url: str) -> Told | None:
    """The same as rows keep it; None if it could be read."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return told("address-invalid")
    allowed = {"https", "http"} if settings.SIGN_IN_PROVIDER_NETWORKS else {"https"}
    if parts.scheme not in allowed or not parts.hostname:
        return told("address-plain")
    if parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        return told("address-with-user")
    if len(url) > URL_LENGTH or not url.isprintable() or any(letter in url for letter in ' \\"<>'):
        return told("address-invalid")
    try:
        literal = ip_address(parts.hostname)
    except ValueError:
        return None
    return None if _may_read(literal, parts.scheme) else told("fetch-private")


def fetch(url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Read a JSON object; with `form`, by POST. Raises FetchFault."""
    if not _AT_ONCE.acquire(timeout=1):
        raise FetchFault(told("fetch-busy"))
    try:
        return _fetch(url, form, dict(headers or {}))
    finally:
        _AT_ONCE.release()


@contextmanager
def in_turn(reader: str) -> Iterator[None]:
    """Let one reader, such as an organization, take half of the simultaneous reads at most. Raises FetchFault.

    Otherwise a provider that answers slowly would keep all other organizations out.
    """
    with _turn:
        if not _turn.wait_for(lambda: _reading[reader] < _AT_ONCE_FOR_ONE, timeout=1):
            raise FetchFault(told("fetch-busy-here"))
        _reading[reader] += 1
    try:
        yield
    finally:
        with _turn:
            _reading[reader] -= 1
            if not _reading[reader]:
                del _reading[reader]
            _turn.notify_all()


def _fetch(url: str, form: Mapping[str, str] | None, headers: dict[str, str]) -> Answer:
    deadline = time.monotonic() + _SECONDS
    target = _checked(url)
    opened = _wrapped(target, _connect(target, deadline))
    # Ends whatever the other side drags out: handshake, headers or body.
    watchdog = threading.Timer(max(0.1, deadline - time.monotonic()), _shut, [opened])
    watchdog.daemon = True
    watchdog.start()
    try:
        return _ask(target, opened, form, headers)
    except (OSError, HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise FetchFault(told("fetch-slow", host=target.host)) from error
        raise FetchFault(told("fetch-no-certificate", host=target.host)) from error
    finally:
        watchdog.cancel()
        opened.close()


def _checked(url: str) -> _Target:
    if (why := why_unreadable(url)) is not None:
        raise FetchFault(why)
    parts = urlsplit(url)
    host = parts.hostname or ""
    found = _addresses_of(host)
    if not all(_may_read(address, parts.scheme) for address in found):
        raise FetchFault(told("fetch-private"))
    return _Target(parts, host, parts.port or (443 if parts.scheme == "https" else 80), found[:_MOST_ADDRESSES])


def _may_read(address: Address, scheme: str) -> bool:
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    permitted = any(plain in network for network in settings.SIGN_IN_PROVIDER_NETWORKS)
    return permitted or (scheme == "https" and is_public(address))


def _addresses_of(host: str) -> list[Address]:
    """Every address of a host, IPv4 first. Raises FetchFault if there is none."""
    try:
        return [ip_address(host)]
    except ValueError:
        found = [ip_address(text) for text in resolve(host)]
    if not found:
        raise FetchFault(told("fetch-no-host", host=host))
    return sorted(found, key=lambda address: address.version)


def resolve(host: str) -> list[str]:
    """The addresses of a name by the system's name servers; empty if there are none."""
    import dns.exception
    import dns.resolver

    try:
        return list(dns.resolver.Resolver().resolve_name(host, lifetime=_CONNECT_SECONDS, search=False).addresses())
    except (dns.exception.DNSException, OSError, UnicodeError):
        return []


def _connect(target: _Target, deadline: float) -> socket.socket:
    for address in target.addresses:
        seconds = min(_CONNECT_SECONDS, deadline - time.monotonic())
        if seconds <= 0:
            break
        try:
            return socket.create_connection((str(address), target.port), timeout=seconds)
        except OSError:
            continue
    raise FetchFault(told("fetch-unreachable", host=target.host))


def _shut(opened: socket.socket) -> None:
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:
        opened.close()


def _ask(target: _Target, opened: socket.socket, form: Mapping[str, str] | None, headers: dict[str, str]) -> Answer:
    opened.settimeout(_SECONDS)
    connection = HTTPConnection(target.host, target.parts.port)
    connection.sock = opened
    try:
        if target.parts.scheme == "https":
            opened.do_handshake()  # type: ignore[attr-defined]  # an SSLSocket
        body = urlencode(form) if form is not None else None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        path = target.parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("GET" if body is None else "POST", path, body, {"Accept": "application/json", **headers})
        return _read(target, connection.getresponse())
    finally:
        connection.close()


def _wrapped(target: _Target, opened: socket.socket) -> socket.socket:
    """The socket for TLS, before the handshake: that belongs to what the watchdog ends."""
    if target.parts.scheme != "https":
        return opened
    import ssl

    context = ssl.create_default_context()
    return context.wrap_socket(opened, server_hostname=target.host, do_handshake_on_connect=False)


def _read(target: _Target, response: HTTPResponse) -> Answer:
    if 300 <= response.status < 400:
        raise FetchFault(told("fetch-redirected", host=target.host))
    body = response.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise FetchFault(told("fetch-too-long", host=target.host))
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise FetchFault(told("fetch-no-json", host=target.host, status=response.status))
    return Answer(response.status, document)
