"""Query the health page of the web process."""

from __future__ import annotations

import http.client
import json
import socket

from portal.running.errors import CannotRunError
from portal.running.options import Options

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- compared, never bound here


def check_port(options: Options) -> None:
    """Raise CannotRunError if the web process could not listen."""
    family = socket.AF_INET6 if ":" in options.bind else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((options.bind, options.port))
    except OSError as error:
        raise CannotRunError(
            f"Port {options.port} on {options.bind} cannot be used ({error.strerror}): stop the program that has it, "
            "or choose another with PORT=8001 make up."
        ) from error


def complaints(options: Options) -> list[str]:
    """Return the faults that /healthz reports; empty once everything works."""
    connection = http.client.HTTPConnection(_ANYWHERE.get(options.bind, options.bind), options.port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        answer = connection.getresponse()
        body = answer.read()
    except OSError as error:
        return [f"web: does not answer ({error})"]
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return []
    try:
        parts = json.loads(body)
    except ValueError:
        return [f"web: answers {answer.status}"]
    return [f"{name}: {state}" for name, state in parts.items() if name != "status" and state != "ok"]
