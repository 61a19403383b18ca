"""Leases of hubs, by a clock that no one sets and that begins anew with each start of the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent import made
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.session import answer
from vpn.agent.system import clock
from vpn.agent.system.command import Netns
from vpn.wire.errors import INVALID, LEASE_OVER
from vpn.wire.lease import Moment, parse_moment
from vpn.wire.observing import Observing

HUB, OTHER = "hubhubhub1", "hubhubhub2"


class Clock:
    """A server's clock, set by hand."""

    def __init__(self) -> None:
        self.boot, self.seconds = "first", 1000.0

    def now(self) -> Moment:
        """The present time."""
        return Moment(self.boot, self.seconds)


@pytest.fixture
def server_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made_clock = Clock()
    monkeypatch.setattr(clock, "now", made_clock.now)
    return made_clock


@pytest.fixture
def host(tmp_path: Path, server_clock: Clock) -> Host:
    state = State(tmp_path / "hub")
    for hub in (HUB, OTHER):
        (state.directory / hub).mkdir(parents=True)
        (state.directory / hub / "spec.json").write_text("{}")
    return Host(Netns("nowhere"), state)


def observe(host: Host, *hubs: str, lease: Moment | None) -> Moment:
    """One look of the portal; the clock that the agent answered with."""
    told = answer(host, Observing(dict.fromkeys(hubs, ""), 1.0, lease).document())
    clock_of_server = parse_moment(told["clock"])
    assert clock_of_server is not None
    return clock_of_server


def over(host: Host) -> set[str]:
    """The hubs that are to be down, as another process of the agent reads it."""
    return State(host.state.directory).leases.over([HUB, OTHER])


def test_a_lease_ends_unless_it_is_renewed(host: Host, server_clock: Clock) -> None:
    told = observe(host, HUB, OTHER, lease=server_clock.now().later(10))
    server_clock.seconds += 8
    observe(host, OTHER, lease=told.later(20))
    assert over(host) == set()
    server_clock.seconds += 3
    assert over(host) == {HUB}
    observe(host, HUB, lease=server_clock.now().later(10))
    assert over(host) == set()


def test_a_request_that_arrives_late_extends_nothing(host: Host, server_clock: Clock) -> None:
    told = observe(host, HUB, lease=server_clock.now().later(10))
    server_clock.seconds += 60
    observe(host, HUB, lease=told.later(10))
    assert over(host) == {HUB}


def test_an_older_request_shortens_no_lease(host: Host, server_clock: Clock) -> None:
    end = server_clock.now().later(30)
    observe(host, HUB, lease=end)
    observe(host, HUB, lease=Moment(end.boot, end.seconds - 25))
    observe(host, HUB, lease=Moment("before", end.seconds + 1000))
    server_clock.seconds += 20
    assert over(host) == set()


def test_after_a_restart_every_lease_is_over_until_the_portal_renews_it(host: Host, server_clock: Clock) -> None:
    told = observe(host, HUB, lease=server_clock.now().later(1000))
    server_clock.boot, server_clock.seconds = "second", 5.0
    assert over(host) == {HUB}, "a hub without a lease runs on"
    told = observe(host, HUB, lease=told.later(1000))
    assert over(host) == {HUB}, "it was meant for the time before"
    observe(host, HUB, lease=told.later(1000))
    assert over(host) == set()


def test_without_a_lease_a_hub_runs_on(host: Host, server_clock: Clock) -> None:
    observe(host, HUB, lease=server_clock.now().later(10))
    server_clock.seconds += 60
    observe(host, HUB, lease=None)
    assert over(host) == set()


def test_a_damaged_file_lets_no_hub_run_before_the_portals_word(host: Host, server_clock: Clock) -> None:
    observe(host, HUB, lease=server_clock.now().later(1000))
    (host.state.directory / "leases.json").write_text("{")
    assert over(host) == {HUB, OTHER}
    observe(host, OTHER, lease=None)
    observe(host, HUB, lease=server_clock.now().later(1000))
    assert over(host) == set()


def test_nothing_is_written_where_no_hub_has_a_lease(host: Host) -> None:
    observe(host, HUB, OTHER, lease=None)
    assert not (host.state.directory / "leases.json").exists()


def test_a_hub_is_not_created_after_its_lease(host: Host, server_clock: Clock) -> None:
    spec = made.spec()
    late = Moment(server_clock.boot, server_clock.seconds - 1)
    refused = answer(host, {"command": "apply", "spec": spec, "lease": late.document()})
    assert refused["error"]["code"] == LEASE_OVER
    assert spec["hub"] not in host.state.hubs()
    refused = answer(host, {"command": "apply", "spec": spec, "lease": {"boot": 7}})
    assert refused["error"]["code"] == INVALID


def test_a_time_is_a_number_and_not_without_end() -> None:
    for seconds in (-1, True, "7", float("nan"), float("inf"), 2.0**50):
        assert parse_moment({"boot": "ab-1", "seconds": seconds}) is None
    assert parse_moment({"boot": "../x", "seconds": 1}) is None
    assert parse_moment(json.loads('{"boot": "ab-1", "seconds": 1}')) == Moment("ab-1", 1.0)


def test_the_real_clock_goes_on_and_belongs_to_this_start() -> None:
    first, second = clock.now(), clock.now()
    assert second.seconds >= first.seconds > 0
    assert first.boot == second.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
