"""The WSGI environment of a request (PEP 3333), from ASGI's `scope`."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

_WITHOUT_PREFIX = {"CONTENT_TYPE", "CONTENT_LENGTH"}


def is_sound(scope: dict[str, Any]) -> bool:
    """Return True if a request is unambiguous, to prevent request smuggling.

    A request with two lengths is ambiguous: a proxy in front may have used the other one (RFC 9112, 6.3). CONNECT,
    which is for proxies, and a target that is not a URL are refused too.
    """
    names = {name for name, _ in scope["headers"]}
    try:
        _path(scope["raw_path"])
    except ValueError:
        return False
    return scope["method"] != "CONNECT" and not {b"content-length", b"transfer-encoding"} <= names


def build_environ(scope: dict[str, Any], body: BinaryIO, size: int) -> dict[str, Any]:
    """Return the environment of a request whose body of `size` bytes has been read."""
    host, port = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    environ = _headers(scope["headers"]) | {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(_path(scope["raw_path"])).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if size or "CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = str(size)
    return environ


def _path(target: bytes) -> bytes:
    """Return the path of a request target, which may also be a full URL (RFC 9112, 3.2.2)."""
    return target if target.startswith(b"/") else urlsplit(target).path or b"/"


def _headers(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return the request's headers. One with an underscore is dropped, because WSGI cannot tell it from a hyphen."""
    found: dict[str, Any] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name or name == "transfer-encoding":
            continue
        key = name.upper().replace("-", "_")
        if key not in _WITHOUT_PREFIX:
            key = f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ","
        found[key] = f"{found[key]}{separator}{value}" if key in found else value
    return found
