"""EC2's API on loopback, which moto plays, and the faults that a cloud may have.

with Ec2() as ec2:
    ec2.refuse("RunInstances", "InsufficientInstanceCapacity", 500)
    ec2.lose("RunInstances")
"""

from __future__ import annotations

import http.client
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qs

from werkzeug.serving import BaseWSGIServer, make_server

# Unknown images are refused, as EC2 does. Read when moto is imported.
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "true")

REGION: Final = "eu-central-1"
_NAMESPACE: Final = re.compile(rb"(http://ec2\.amazonaws\.com/doc/)[0-9-]+/?")
_HEADERS: Final = [("Content-Type", "text/xml")]


@dataclass(frozen=True)
class Fault:
    """What happens to a call: it is refused with a code and a status, or has its effect and the answer is lost."""

    action: str
    code: str
    status: int
    has_effect: bool = False


@dataclass
class Ec2:
    """The API, a context manager. Each one begins empty."""

    faults: deque[Fault] = field(default_factory=deque)
    calls: list[str] = field(default_factory=list)
    _server: BaseWSGIServer | None = None

    def __enter__(self) -> Self:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, name="ec2", daemon=True).start()
        self.reset()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._server is not None
        self.reset()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The URL of the API."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def image(self) -> str:
        """An image that it has."""
        return str(next(iter(self._backend.amis)))

    def refuse(self, action: str, code: str, status: int = 400, times: int = 1) -> None:
        """Refuse the next calls of an action."""
        self.faults.extend([Fault(action, code, status)] * times)

    def lose(self, action: str, times: int = 1) -> None:
        """Do what the next calls of an action ask for, and answer with an internal error."""
        self.faults.extend([Fault(action, "InternalError", 500, has_effect=True)] * times)

    def reset(self) -> None:
        """Forget everything."""
        self.faults.clear()
        assert self._server is not None
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()
        self.calls.clear()

    def nodes(self) -> list[Any]:
        """moto's instances that have not ended."""
        ended = {"terminated", "shutting-down"}
        return [node for node in self._backend.all_instances() if node.state not in ended]

    def groups(self) -> dict[str, set[str]]:
        """The open ports of each security group of the portal, by the group's name."""
        return {
            group.name: {
                f"{rule.ip_protocol}/{port}"
                for rule in group.ingress_rules
                for port in range(int(rule.from_port), int(rule.to_port) + 1)
            }
            for by_id in self._backend.groups.values()
            for group in by_id.values()
            if group.name.startswith("vpn-")
        }

    @staticmethod
    def user_data(node: Any) -> str:
        """The user data that a node was started with."""
        return str(node.user_data.decode())

    def add_node(self, name: str, **tags: str) -> Any:
        """Start an instance with this name and these tags, past the portal."""
        reservation = self._backend.run_instances(
            self.image,
            1,
            "",
            [],
            instance_type="t3.small",
            is_instance_type_default=False,
            tags={"instance": {"Name": name, **tags}},
        )
        return reservation.instances[0]

    def end_node(self, node_id: str) -> None:
        """Remove an instance, past the portal."""
        self._backend.terminate_instances([node_id])

    @property
    def _backend(self) -> Any:
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.ec2.models import ec2_backends

        return ec2_backends[DEFAULT_ACCOUNT_ID][REGION]

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        action = parse_qs(environ.get("QUERY_STRING", "")).get("Action", [""])[0]
        self.calls.append(action)
        fault = next((fault for fault in self.faults if fault.action == action), None)
        if fault is None:
            return self._played(environ, start)
        self.faults.remove(fault)
        if fault.has_effect:
            self._played(environ, lambda *_: None)
        start(f"{fault.status} Fault", _HEADERS)
        return [_error(fault.code).encode()]

    def _played(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """moto's answer in the XML namespace of the version that was asked for, errors without one, as EC2's are."""
        begun: list[Any] = []
        body = b"".join(self._app(environ, lambda status, headers, *_: begun.extend((status, headers))))
        version = parse_qs(environ.get("QUERY_STRING", "")).get("Version", [""])[0]
        if version:
            body = _NAMESPACE.sub(rf"\g<1>{version}/".encode(), body)
        body = re.sub(rb'<Response xmlns="[^"]*">', b"<Response>", body)
        status, headers = begun
        start(status, [pair for pair in headers if pair[0].lower() != "content-length"])
        return [body]


def _error(code: str) -> str:
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>The cloud says so.</Message></Error></Errors>"
        "<RequestID>1</RequestID></Response>"
    )
