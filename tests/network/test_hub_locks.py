"""Hubs of one host do not wait for each other, work on one hub does, and what hubs share stays whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.system.lock import hub_lock

MANY = 6


@pytest.fixture
def hubs(lab: Lab) -> Iterator[list[Hub]]:
    """Hubs with ports of their own, each with an agent's session of its own, as workers have."""
    made = [Hub(lab, Agent(lab), port=20000 + 2 * number) for number in range(MANY)]
    for number, one in enumerate(made):
        one.server = {"addresses": [lab.host.v4], "networks": [f"10.20.{number}.0/24"], "portal_port": None}
        one.add()
    yield made
    for one in made:
        one.agent.close()


@contextmanager
def busy(lab: Lab, hub: Hub) -> Iterator[None]:
    """Inside the block somebody else is at work on the hub."""
    with ThreadPoolExecutor(1) as pool:
        begun, over = Event(), Event()

        def work() -> None:
            with hub_lock(lab.state, hub.hub):
                begun.set()
                over.wait(60)

        working = pool.submit(work)
        try:
            assert begun.wait(60)
            yield
        finally:
            over.set()
            working.result(60)


def shared(lab: Lab, name: str) -> set[str]:
    """The hubs that one of the files of all hubs names."""
    return set(json.loads((lab.state / name).read_text()))


def test_a_hub_is_changed_while_another_one_is(lab: Lab, hubs: list[Hub]) -> None:
    slow, quick = hubs[:2]
    slow.apply()
    with ThreadPoolExecutor(1) as pool, busy(lab, slow):
        waiting = pool.submit(slow.apply_next)
        device = quick.add()
        quick.apply()
        quick.destroy()
        quick.epoch += 1
        quick.apply()
        quick.delta(remove=[device])
        assert not waiting.done(), "what is under way on a hub is not disturbed"
    assert waiting.result(60).generation == 2


def test_work_on_one_hub_waits_for_its_turn_and_is_all_done(lab: Lab, hubs: list[Hub]) -> None:
    slow = hubs[0]
    slow.apply()
    again = Agent(lab)
    with ThreadPoolExecutor(2) as pool, busy(lab, slow):
        first = pool.submit(slow.apply)
        second = pool.submit(again.report, command="status", hub=slow.hub)
        assert second.result(60).alive, "looking waits for nobody"
        assert not first.done()
    assert first.result(60).generation == slow.generation
    again.close()


def test_many_hubs_that_come_and_go_at_once_keep_what_they_share(lab: Lab, hubs: list[Hub]) -> None:
    with ThreadPoolExecutor(MANY) as pool:
        for report in pool.map(Hub.apply, hubs):
            assert report.alive
        names = {one.hub for one in hubs}
        assert shared(lab, "links.json") == shared(lab, "sources.json") == shared(lab, "servers.json") == names
        links = json.loads((lab.state / "links.json").read_text())
        assert len(set(links.values())) == MANY, "no two hubs have one link"
        rules = lab.run(lab.host, ["nft", "list", "table", "inet", "vpnhub"]).stdout
        assert all(f"10.20.{number}.0/24" in rules for number in range(MANY))

        # Half of them go while the others change.
        going, staying = hubs[::2], hubs[1::2]
        gone = [pool.submit(one.destroy) for one in going]
        changed = [pool.submit(one.apply_next) for one in staying]
        for each in (*gone, *changed):
            each.result(120)
    names = {one.hub for one in staying}
    assert shared(lab, "links.json") == shared(lab, "sources.json") == shared(lab, "servers.json") == names
    rules = lab.run(lab.host, ["nft", "list", "table", "inet", "vpnhub"]).stdout
    assert [f"10.20.{number}.0/24" in rules for number in range(MANY)] == [number % 2 == 1 for number in range(MANY)]
    assert lab.hubs() == names
    assert not any(any(one.apply().changed.values()) for one in staying), "nothing was left to mend"


def test_the_watch_heals_a_hub_while_another_one_is_changed(lab: Lab, hubs: list[Hub]) -> None:
    slow, broken = hubs[:2]
    slow.apply()
    broken.apply()
    with busy(lab, slow), Watch(slow.agent):
        for one in (slow, broken):
            lab.run(lab.host, ["ip", "link", "delete", "dev", f"vh-{one.hub}"])
        wait_until(lambda: is_linked(lab, broken), 30, "the link of the hub that nobody is at work on")
        assert not is_linked(lab, slow)
    slow.apply()
    assert is_linked(lab, slow)


def test_after_a_reboot_a_busy_hub_keeps_none_of_the_others_waiting(lab: Lab, hubs: list[Hub]) -> None:
    slow, *others = hubs
    for one in hubs:
        one.apply()
        one.agent.close()
    lab.reboot_host()
    with busy(lab, slow), Watch(slow.agent):
        wait_until(lambda: all(one.status().alive for one in others), 60, "the other hubs")
        assert not slow.status().alive
    with Watch(slow.agent):
        wait_until(lambda: slow.status().alive, 60, "the hub that was busy")
        # The last ones may still be compared: an apply waits for its turn.
        assert not any(any(one.apply().changed.values()) for one in hubs), "nothing was left to mend"


def is_linked(lab: Lab, hub: Hub) -> bool:
    """Has the hub its link to the host?"""
    return f"vh-{hub.hub}" in lab.run(lab.host, ["ip", "-br", "link"]).stdout
