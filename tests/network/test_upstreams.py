"""The hub tells whether the resolvers that it asks for public names answer, and a status never waits for that."""

from __future__ import annotations

import time

import pytest

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4
from tests.lab.waiting import wait_until
from vpn.agent.dns import upstreams

# Answers each question with what argv names: an error code of DNS (RFC 1035).
SERVER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    udp.bind((sys.argv[1], 53))
    while True:
        asked, where = udp.recvfrom(4096)
        udp.sendto(asked[:2] + bytes((0x81, 0x80 | int(sys.argv[2]))) + asked[4:], where)
"""
SILENT = "198.51.100.99"


def resolver(*servers: str) -> dict[str, object]:
    return {
        "domain": "fra.vpn.example.net",
        "public_addresses": ["203.0.113.1"],
        "upstreams": list(servers),
        "domains": [],
        "domain_servers": [],
        "records": [],
    }


@pytest.fixture(autouse=True)
def _often(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent asks every second: it is started with another pause."""
    code = (
        "import sys; from vpn.agent.dns import upstreams; upstreams.EVERY = 1.0; from vpn.agent.__main__ import main; "
    )
    argv = ["-c", f"{code}sys.exit(main(sys.argv[1:]))"]
    real = hub.agent.argv
    monkeypatch.setattr(hub.agent, "argv", lambda command: [real(command)[0], *argv, *real(command)[3:]])


def answers(hub: Hub) -> dict[str, bool] | None:
    return hub.status().upstreams


def test_each_server_that_the_hub_asks_is_told_of(lab: Lab, hub: Hub) -> None:
    server = lab.start(lab.outside, ["python3", "-c", SERVER, OUTSIDE_V4, "0"])
    hub.resolver = resolver(OUTSIDE_V4, SILENT)  # type: ignore[assignment]
    hub.apply()
    assert answers(hub) is None, "not known at first"
    wait_until(lambda: answers(hub) == {OUTSIDE_V4: True, SILENT: False}, 20, "one that answers, one that does not")
    server.kill()
    server.wait(5)
    wait_until(lambda: answers(hub) == {OUTSIDE_V4: False, SILENT: False}, 20, "none that answers")
    lab.start(lab.outside, ["python3", "-c", SERVER, OUTSIDE_V4, "3"])
    wait_until(lambda: answers(hub) == {OUTSIDE_V4: True, SILENT: False}, 20, "one that answers again")


def test_an_agent_that_was_started_anew_never_calls_a_silent_server_well(hub: Hub) -> None:
    hub.resolver = resolver(SILENT)  # type: ignore[assignment]
    hub.apply()
    told: list[dict[str, bool] | None] = []

    def is_silent() -> bool:
        told.append(answers(hub))
        return told[-1] == {SILENT: False}

    wait_until(is_silent, 20, "a server that does not answer")
    assert {SILENT: True} not in told


def test_a_server_that_can_ask_nobody_itself_is_none(lab: Lab, hub: Hub) -> None:
    lab.start(lab.outside, ["python3", "-c", SERVER, OUTSIDE_V4, "2"])
    hub.resolver = resolver(OUTSIDE_V4)  # type: ignore[assignment]
    hub.apply()
    wait_until(lambda: answers(hub) == {OUTSIDE_V4: False}, 20, "a server failure")


def test_a_status_waits_for_no_answer(hub: Hub) -> None:
    hub.resolver = resolver(SILENT, "198.51.100.98")  # type: ignore[assignment]
    hub.apply()
    hub.status()
    started = time.monotonic()
    for _ in range(10):
        hub.status()
    assert time.monotonic() - started < 10 * upstreams._PATIENCE
    hub.destroy()
    left = hub.lab.run(hub.lab.host, ["ip", "-br", "link"]).stdout
    assert hub.hub not in left
