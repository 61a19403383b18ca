"""Hetzner Cloud as a driver of libcloud, which has none: docs.hetzner.cloud, version 1 of the API.

Hetzner's own package `hcloud` repeats calls by itself for longer than a job may run, so it is not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv6Network
from typing import Any, Final

from libcloud.common.base import ConnectionKey, JsonResponse
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeLocation, NodeSize
from libcloud.compute.types import NodeState

from vpn import failures
from vpn.drivers.cloud.base import CloudError

# The most that a page of a list has.
_PAGE: Final = 50
_CONFLICT: Final = 409
# A node that is being deleted is not found any more: the API refuses to delete it again, and it keeps its firewall.
_STATES: Final = {
    "initializing": NodeState.PENDING,
    "starting": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "stopping": NodeState.STOPPING,
    "off": NodeState.STOPPED,
    "deleting": NodeState.TERMINATED,
    "rebuilding": NodeState.REBOOTING,
    "migrating": NodeState.MIGRATING,
}


class HetznerResponse(JsonResponse):
    """An answer. A fault has a code, a message, and for wrong input the names of its fields."""

    def success(self) -> bool:
        """Was the call accepted?"""
        return 200 <= int(self.status) < 300

    def parse_error(self) -> str:
        """Return the fault in the API's words."""
        try:
            error = dict(json.loads(self.body or "")["error"])
        except (KeyError, TypeError, ValueError):
            return f"status code: {self.status}"
        details = error.get("details")
        fields = details.get("fields") if isinstance(details, dict) else None
        names = " ".join(str(field.get("name")) for field in fields or () if isinstance(field, dict))
        return f"{error.get('message')} ({error.get('code')}) {names}".strip()


class HetznerConnection(ConnectionKey):
    """Calls with a token of a project."""

    host = "api.hetzner.cloud"
    responseCls = HetznerResponse  # noqa: N815 - libcloud's name

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Add the token."""
        return headers | {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}


class HetznerNodeDriver(NodeDriver):
    """The servers and firewalls of a project, as far as the portal needs them."""

    type = "hetzner"
    name = "Hetzner Cloud"
    website = "https://www.hetzner.com/cloud"
    connectionCls = HetznerConnection  # noqa: N815

    def list_nodes(self, ex_labels: str = "") -> list[Node]:
        """The servers of the project; `ex_labels` selects them, such as "key==value"."""
        return [self._node(found) for found in self._all("servers", ex_labels)]

    def create_node(  # type: ignore[override]
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        location: NodeLocation | None = None,
        ex_user_data: str = "",
        ex_labels: dict[str, str] | None = None,
        ex_firewall: int | None = None,
    ) -> Node:
        """Order a server; return the one with this name if there is one, since names are unique in a project."""
        wanted: dict[str, Any] = {"name": name, "server_type": size.id, "image": image.id, "labels": ex_labels or {}}
        wanted |= {"user_data": ex_user_data, "start_after_create": True}
        if location is not None:
            wanted["location"] = location.id
        if ex_firewall is not None:
            wanted["firewalls"] = [{"firewall": ex_firewall}]
        try:
            return self._node(self._call("servers", "POST", wanted)["server"])
        except BaseHTTPError as error:
            if error.code != _CONFLICT or "uniqueness_error" not in str(error):
                raise
            present = self._call("servers", params={"name": name})["servers"]
            if not present:
                raise
            return self._node(present[0])

    def destroy_node(self, node: Node) -> bool:
        """Delete a server, with the addresses that it got with its order."""
        self._call(f"servers/{node.id}", "DELETE")
        return True

    def get_image(self, image_id: str) -> NodeImage:
        """Return an image by its number or name. Raises IndexError if there is none."""
        if image_id.isdigit():
            found = self._call(f"images/{image_id}")["image"]
        else:
            found = self._call("images", params={"name": image_id, "include_deprecated": "true"})["images"][0]
        return NodeImage(str(found["id"]), found["name"], self)

    def ex_check_size(self, size: str, location: str) -> None:
        """Raise CloudError unless a server type is offered in a location."""
        types = self._call("server_types", params={"name": size})["server_types"]
        if not self._call("locations", params={"name": location})["locations"]:
            raise CloudError(failures.CLOUD_LOCATION.of(location))
        if not types or location not in {price["location"] for price in types[0]["prices"]}:
            raise CloudError(failures.CLOUD_SIZE.of(size))

    def ex_get_firewall(self, name: str) -> dict[str, Any] | None:
        """Return a firewall with its rules."""
        found: list[dict[str, Any]] = self._call("firewalls", params={"name": name})["firewalls"]
        return found[0] if found else None

    def ex_list_firewalls(self, labels: str) -> list[dict[str, Any]]:
        """The firewalls that a label selects."""
        return list(self._all("firewalls", labels))

    def ex_create_firewall(self, name: str, labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, Any]:
        """Make a firewall that is applied to no server yet."""
        made: dict[str, Any] = self._call("firewalls", "POST", {"name": name, "labels": labels, "rules": rules})
        return dict(made["firewall"])

    def ex_set_firewall_rules(self, firewall_id: int, rules: list[dict[str, Any]]) -> None:
        """Replace all rules of a firewall at once."""
        self._call(f"firewalls/{firewall_id}/actions/set_rules", "POST", {"rules": rules})

    def ex_delete_firewall(self, firewall_id: int) -> None:
        """Delete a firewall; the API refuses it while a server has it."""
        self._call(f"firewalls/{firewall_id}", "DELETE")

    def _all(self, noun: str, labels: str) -> Iterator[dict[str, Any]]:
        selected = {"label_selector": labels} if labels else {}
        page: int | None = 1
        while page is not None:
            answer = self._call(noun, params={**selected, "page": page, "per_page": _PAGE})
            yield from answer[noun]
            page = answer.get("meta", {}).get("pagination", {}).get("next_page")

    def _call(
        self, path: str, method: str = "GET", body: dict[str, Any] | None = None, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        connection: Any = self.connection
        data = None if body is None else json.dumps(body)
        return dict(connection.request(f"/v1/{path}", params=params, data=data, method=method).object or {})

    def _node(self, found: dict[str, Any]) -> Node:
        net = found.get("public_net") or {}
        addresses = [(net.get("ipv4") or {}).get("ip")]
        if prefix := (net.get("ipv6") or {}).get("ip"):
            # The server gets a network, and its images configure this address of it.
            addresses.append(str(IPv6Network(prefix)[1]))
        state = _STATES.get(str(found.get("status")), NodeState.UNKNOWN)
        extra = {"tags": found.get("labels") or {}}
        return Node(str(found["id"]), found["name"], state, [one for one in addresses if one], [], self, extra=extra)
