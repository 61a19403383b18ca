"""A server with Debian 13 that systemd runs: it is prepared for real, and its watch outlives kill -9 and a reboot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import LazySettings

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.remote import RemoteAgent, authorised, prepared
from tests.lab.systemd import SystemdServer
from tests.lab.waiting import wait_until
from vpn.drivers.base import SshAddress
from vpn.drivers.ssh.driver import SshDriver
from vpn.drivers.ssh.host_key import seen_host_key
from vpn.drivers.ssh.rotation import made_host_key, use_host_key
from vpn.wire import preparing
from vpn.wire.preparing import Line

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not os.environ.get("DRILL"), reason="takes some minutes: make drill"),
]
WITHIN = 90.0
UNIT = "vpn-hub-watch"
# The story is one: each test goes on where the one before it ended.
story: dict[str, Any] = {}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A laboratory whose host is the portal's machine."""
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def server(lab: Lab) -> Iterator[SystemdServer]:
    """A server that the portal does not know yet."""
    with SystemdServer(lab, "frankfurt") as made:
        yield made


@pytest.fixture(autouse=True)
def _from_the_host(settings: LazySettings, lab: Lab) -> None:
    settings.HUB_HOST_NETNS = lab.host.netns


@pytest.fixture(scope="module")
def address(server: SystemdServer) -> SshAddress:
    """How root is reached on the server."""
    return authorised(server)


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """A device."""
    return lab.add_client("laptop")


def test_it_is_prepared_and_systemd_runs_the_watch(server: SystemdServer, address: SshAddress) -> None:
    lines = prepared(address)
    assert lines[-1] == Line(preparing.WATCH, preparing.DONE, "systemd")
    assert Line(preparing.SYSTEM, preparing.DONE, "debian-13") in lines
    assert server.run(["systemctl", "is-enabled", UNIT]).stdout.strip() == "enabled"
    assert server.main_pid(UNIT)


def test_the_unit_has_no_fault(server: SystemdServer) -> None:
    verified = server.run(["systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}.service"])
    assert verified.stdout + verified.stderr == ""


def test_it_takes_another_host_key_as_after_an_order(address: SshAddress) -> None:
    used = replace(address, host_key=made_host_key(address))
    use_host_key(address)
    wait_until(lambda: seen_host_key(address.host, address.port) == used.host_key, WITHIN, "the other host key")
    use_host_key(used)
    story["address"] = used


def test_a_client_reaches_a_hub_there(lab: Lab, server: SystemdServer, laptop: Node) -> None:
    agent = RemoteAgent(lab, story["address"])
    try:
        hub = story["hub"] = Hub(lab, agent)
        device = hub.add()
        hub.apply_next()
        lab.wg_quick_up(laptop, hub.profile(device).replace(lab.host.v4, server.node.v4))
        lab.wait_ping(laptop, hub.v4)
    finally:
        agent.close()


def test_a_watch_that_is_killed_is_started_again_and_hubs_go_on(lab: Lab, server: SystemdServer, laptop: Node) -> None:
    before = server.main_pid(UNIT)
    server.run(["kill", "-9", str(before)])
    wait_until(lambda: server.main_pid(UNIT) not in {0, before}, WITHIN, "the watch to run again")
    assert lab.ping(laptop, story["hub"].v4)


def test_restarting_the_unit_leaves_the_daemons_of_hubs(lab: Lab, server: SystemdServer, laptop: Node) -> None:
    daemons = server.run(["pgrep", "wireguard-go"], check=False).stdout.split()
    assert daemons
    server.run(["systemctl", "restart", UNIT])
    assert server.run(["pgrep", "wireguard-go"], check=False).stdout.split() == daemons
    assert lab.ping(laptop, story["hub"].v4)


def test_hubs_are_there_again_after_a_reboot_without_the_portal(lab: Lab, server: SystemdServer, laptop: Node) -> None:
    server.reboot()
    wait_until(lambda: bool(server.main_pid(UNIT)), WITHIN, "the watch")
    lab.wait_ping(laptop, story["hub"].v4)
    # The watch started the hub's daemons now: they must not end with it.
    server.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT])
    assert lab.ping(laptop, story["hub"].v4)
    driver = SshDriver(story["address"])
    try:
        driver.check()
    finally:
        driver.close()
