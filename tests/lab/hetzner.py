"""Hetzner Cloud's API on loopback, as its reference and its own clients describe it, and the faults that it may have.

with Hetzner() as api:
    api.refuse("POST servers", 412, "resource_unavailable", "error during placement")
    api.lose("POST servers")
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Self

from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

TOKEN: Final = "hetzner-token-hetzner-token"
LOCATION: Final = "nbg1"
SIZE: Final = "cx23"
IMAGE: Final = "debian-12"
_MOST_PER_PAGE: Final = 50
_CREATED: Final = "2026-11-26T10:00:00+00:00"
_HOSTNAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Answer = tuple[int, dict[str, Any]]


class Refused(Exception):
    """An answer with a fault."""

    def __init__(self, status: int, code: str, message: str, fields: Iterable[str] = ()) -> None:
        named = [{"name": name, "messages": [message]} for name in fields]
        details = {"fields": named} if named else None
        super().__init__(code)
        self.answer: Answer = (status, {"error": {"code": code, "message": message, "details": details}})


@dataclass
class Hetzner:
    """The API with one project, a context manager. Each one begins empty."""

    calls: list[str] = field(default_factory=list)
    servers: dict[int, dict[str, Any]] = field(default_factory=dict)
    firewalls: dict[int, dict[str, Any]] = field(default_factory=dict)
    user_data: dict[int, str] = field(default_factory=dict)
    # What is done to the next calls of a kind: refused, or done and the answer lost.
    _faults: deque[tuple[str, Refused, bool]] = field(default_factory=deque)
    _numbers: count[int] = field(default_factory=lambda: count(101))
    _server: BaseWSGIServer | None = None

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._server = make_server("127.0.0.1", 0, self._wsgi, threaded=True)
        threading.Thread(target=self._server.serve_forever, name="hetzner", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The URL of the API."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.port}"

    def reset(self) -> None:
        """Forget everything."""
        for kept in (self.calls, self.servers, self.firewalls, self.user_data, self._faults):
            kept.clear()

    def refuse(self, call: str, status: int, code: str, message: str, fields: Iterable[str] = ()) -> None:
        """Refuse the next call of a kind, such as "POST servers"."""
        self._faults.append((call, Refused(status, code, message, fields), False))

    def lose(self, call: str) -> None:
        """Do what the next call of a kind asks for, and lose the answer."""
        self._faults.append((call, Refused(504, "timeout", "the request could not be answered in time"), True))

    def opened(self) -> dict[str, set[str]]:
        """What each firewall opens, by its name, such as "udp/20000-20001 from 0.0.0.0/0, ::/0"."""
        return {
            wall["name"]: {
                f"{rule['protocol']}/{rule['port']} from {', '.join(rule['source_ips'])}" for rule in wall["rules"]
            }
            for wall in self.firewalls.values()
        }

    def add_server(self, name: str, labels: dict[str, str]) -> dict[str, Any]:
        """Start a server past the portal."""
        body = {"name": name, "labels": labels, "server_type": SIZE, "image": IMAGE, "location": LOCATION}
        return dict(self._create_server(body)[1]["server"])

    def _wsgi(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        noun, _, rest = request.path.removeprefix("/v1/").partition("/")
        call = f"{request.method} {noun}"
        self.calls.append(call)
        fault = next((one for one in self._faults if one[0] == call), None)
        status, body = self._played(request, noun, rest) if fault is None or fault[2] else (0, {})
        if fault is not None:
            self._faults.remove(fault)
            status, body = fault[1].answer
        return Response(json.dumps(body) if body else b"", status, content_type="application/json")(environ, start)

    def _played(self, request: Request, noun: str, rest: str) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Refused(401, "unauthorized", "unable to authenticate").answer
        try:
            body = json.loads(request.get_data() or b"{}")
            number, _, action = rest.partition("/")
            if request.method == "GET" and not number:
                return self._list(noun, request)
            if (request.method, noun, number) == ("POST", "servers", ""):
                return self._create_server(body)
            if (request.method, noun, number) == ("POST", "firewalls", ""):
                return self._create_firewall(body)
            if (request.method, noun, action) == ("POST", "firewalls", "actions/set_rules"):
                self._found("firewalls", number)["rules"] = body["rules"]
                return 201, {"actions": [self._action("set_firewall_rules")]}
            if request.method == "DELETE":
                return self._delete(noun, number)
            return 200, {noun[:-1]: self._found(noun, number)}
        except Refused as refused:
            return refused.answer

    def _rows(self, noun: str) -> dict[int, dict[str, Any]]:
        offered = {"images": _IMAGES, "locations": _LOCATIONS, "server_types": _SIZES}
        rows = {"servers": self.servers, "firewalls": self.firewalls, **offered}
        if noun not in rows:
            raise Refused(404, "not_found", "not found")
        return rows[noun]

    def _found(self, noun: str, number: str) -> dict[str, Any]:
        found = self._rows(noun).get(int(number))
        if found is None:
            raise Refused(404, "not_found", f"{noun[:-1]} with ID '{number}' not found")
        return found

    def _list(self, noun: str, request: Request) -> Answer:
        if noun == "servers":
            for server in self.servers.values():
                if server["status"] == "initializing":
                    server["status"] = "running"
        rows = list(self._rows(noun).values())
        if name := request.args.get("name"):
            rows = [row for row in rows if row["name"] == name]
        if selector := request.args.get("label_selector"):
            key, _, value = selector.partition("==")
            rows = [row for row in rows if row["labels"].get(key) == value]
        page, size = int(request.args.get("page", 1)), min(int(request.args.get("per_page", 25)), _MOST_PER_PAGE)
        shown, more = rows[(page - 1) * size : page * size], len(rows) > page * size
        pages = {"page": page, "per_page": size, "previous_page": page - 1 or None, "total_entries": len(rows)}
        pages |= {"next_page": page + 1 if more else None, "last_page": max(1, -(-len(rows) // size))}
        answer = json.loads(json.dumps({noun: shown, "meta": {"pagination": pages}}))
        if noun == "servers":
            for number in [one["id"] for one in self.servers.values() if one["status"] == "deleting"]:
                del self.servers[number]
        return 200, answer

    def _create_server(self, body: dict[str, Any]) -> Answer:
        for field_name, rows in (("image", _IMAGES), ("server_type", _SIZES), ("location", _LOCATIONS)):
            if body[field_name] not in {row["name"] for row in rows.values()}:
                raise Refused(422, "invalid_input", f"invalid input in field '{field_name}'", [field_name])
        if not _HOSTNAME.fullmatch(body["name"]):
            raise Refused(422, "invalid_input", "invalid input in field 'name'", ["name"])
        if body["name"] in {server["name"] for server in self.servers.values()}:
            raise Refused(409, "uniqueness_error", "server name is already used", ["name"])
        number = next(self._numbers)
        walls = [{"id": one["firewall"], "status": "pending"} for one in body.get("firewalls", ())]
        for wall in walls:
            self._found("firewalls", str(wall["id"]))["applied_to"].append({"type": "server", "server": {"id": number}})
        v4 = {"id": 2 * number, "ip": f"192.0.2.{number}", "blocked": False, "dns_ptr": ""}
        v6 = {"id": 2 * number + 1, "ip": f"2001:db8:{number}::/64", "blocked": False, "dns_ptr": []}
        server = {"id": number, "name": body["name"], "status": "initializing", "created": _CREATED, "locked": False}
        server |= {"public_net": {"ipv4": v4, "ipv6": v6, "floating_ips": [], "firewalls": walls}, "private_net": []}
        server |= {"labels": body.get("labels", {}), "server_type": {"name": body["server_type"]}, "volumes": []}
        self.servers[number] = server
        self.user_data[number] = body.get("user_data", "")
        action = self._action("create_server")
        return 201, {"server": dict(server), "action": action, "next_actions": [], "root_password": "x"}

    def _create_firewall(self, body: dict[str, Any]) -> Answer:
        if body["name"] in {wall["name"] for wall in self.firewalls.values()}:
            raise Refused(409, "uniqueness_error", "firewall name is already used", ["name"])
        number = next(self._numbers)
        wall = {"id": number, "created": _CREATED, "applied_to": [], **body}
        self.firewalls[number] = wall
        return 201, {"firewall": wall, "actions": [self._action("set_firewall_rules")]}

    def _delete(self, noun: str, number: str) -> Answer:
        found = self._found(noun, number)
        if noun == "servers":
            if found["status"] == "deleting":
                raise Refused(423, "locked", "server is locked")
            found["status"] = "deleting"
            return 200, {"action": self._action("delete_server")}
        if any(one["server"]["id"] in self.servers for one in found["applied_to"]):
            raise Refused(409, "resource_in_use", f"firewall with ID '{number}' is still in use")
        del self.firewalls[int(number)]
        return 204, {}

    def _action(self, command: str) -> dict[str, Any]:
        return {
            "id": next(self._numbers),
            "command": command,
            "status": "running",
            "progress": 0,
            "started": _CREATED,
            "finished": None,
            "resources": [],
            "error": None,
        }


def _price(location: str) -> dict[str, Any]:
    cost = {"net": "0.0060", "gross": "0.0071"}
    return {"location": location, "price_hourly": cost, "price_monthly": cost}


_IMAGES: Final[dict[int, dict[str, Any]]] = {
    114690387: {"id": 114690387, "name": IMAGE, "type": "system", "status": "available", "architecture": "x86"},
    114690389: {"id": 114690389, "name": IMAGE, "type": "system", "status": "available", "architecture": "arm"},
}
_LOCATIONS: Final[dict[int, dict[str, Any]]] = {
    2: {"id": 2, "name": LOCATION, "country": "DE", "city": "Nuremberg"},
    3: {"id": 3, "name": "hel1", "country": "FI", "city": "Helsinki"},
}
_SIZES: Final[dict[int, dict[str, Any]]] = {
    109: {"id": 109, "name": SIZE, "architecture": "x86", "prices": [_price(LOCATION)]},
}
