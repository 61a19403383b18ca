"""Hubs and `make up`: they outlive it, are found again, leave with `make down` and come back afterwards."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal

pytestmark = [pytest.mark.flow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
READY_WITHIN = 300.0


class Api:
    """The portal's API as its first admin."""

    def __init__(self, portal: RunningPortal) -> None:
        self.token = portal.manage("api_token", "admin@localhost")
        self.portal = portal

    def call(self, method: str, path: str, document: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.portal.port, timeout=10)
        headers = {"Host": "localhost", "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, f"/api/v1/vpn{path}", json.dumps(document) if document else None, headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status < 300, body
        return json.loads(body)

    def is_up_to_date(self, instance: str) -> bool:
        found = self.call("GET", f"/instances/{instance}")
        return found["state"] == "ready" and bool(found["server_ready"])


def hubs(portal: RunningPortal) -> list[str]:
    """The hubs whose namespaces are there."""
    names = [path.parent.name for path in portal.layout.hub.glob("*/spec.json")]
    return [name for name in names if Path("/run/netns", f"hub-{name}").exists()]


def wireguard_of(hub: str) -> set[int]:
    """The processes that carry a hub's tunnel; none where the kernel does."""
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _names(entry, hub)}


def _names(process: Path, hub: str) -> bool:
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return b"wireguard-go" in command and f"wg-{hub}".encode() in command


def test_hubs_outlive_the_portal_and_leave_with_down(portal: RunningPortal) -> None:
    portal.start()
    try:
        api = Api(portal)
        instance = api.call("POST", "/instances", {"name": "Outlives", "hostname": "outlives", "region": "local"})["id"]
        wait_until(lambda: api.is_up_to_date(instance), READY_WITHIN, "the hub", portal.logs)
        [hub] = hubs(portal)
        carriers = wireguard_of(hub)

        portal.stop()
        assert (hubs(portal), wireguard_of(hub)) == ([hub], carriers)

        portal.start()
        portal.kill()
        assert (hubs(portal), wireguard_of(hub)) == ([hub], carriers)

        portal.start()
        wait_until(lambda: api.is_up_to_date(instance), READY_WITHIN, "the hub", portal.logs)
        assert (hubs(portal), wireguard_of(hub)) == ([hub], carriers)

        assert "Hubs removed: 1" in portal.take_hubs_away()
        assert hubs(portal) == []
        assert not wireguard_of(hub)
        assert portal.processes() == []

        # The instance is still wanted: whoever starts the portal again gets its hub back.
        portal.start()
        wait_until(lambda: hubs(portal) == [hub] and api.is_up_to_date(instance), READY_WITHIN, "the hub", portal.logs)
    finally:
        portal.take_hubs_away()
    assert hubs(portal) == []
