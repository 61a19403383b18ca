"""The watch sees each new hub and each end of one, though it lists the directory only when something has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent import made
from tests.lab.waiting import wait_until
from vpn.agent.memory.listing import Listing
from vpn.agent.memory.saved import Saved
from vpn.agent.memory.state import State
from vpn.wire.spec import parse_spec


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "hub")
    (state.directory / "locks").mkdir(parents=True)
    return state


def counted(state: State, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The times that the directory was listed."""
    listed: list[int] = []
    usual = state.hubs

    def hubs(_: State) -> list[str]:
        listed.append(1)
        return usual()

    monkeypatch.setattr(State, "hubs", hubs)
    return listed


def save(state: State) -> None:
    state.save(Saved.of(parse_spec(made.spec(1))))


def test_it_lists_only_what_has_changed(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    save(state)
    listed, listing = counted(state, monkeypatch), Listing(state)

    def is_known() -> bool:
        before = len(listed)
        return listing.hubs() == [made.HUB] and len(listed) == before

    # What has changed just now may change again within the same step of the kernel's file times.
    wait_until(is_known, 30, "the list to be kept")


def test_a_spec_in_a_directory_that_was_there_makes_a_hub(state: State) -> None:
    state.unsettle(made.HUB)
    listing = Listing(state)
    wait_until(lambda: listing.hubs() == [] and listing.hubs() == [], 30, "no hub")
    save(state)
    assert listing.hubs() == [made.HUB]
    state.forget(made.HUB)
    assert listing.hubs() == []


def test_a_removal_that_was_broken_off_is_seen_soon(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    save(state)
    listing = Listing(state)
    wait_until(lambda: listing.hubs() == [made.HUB], 30, "the hub")
    (state.directory / made.HUB / "spec.json").unlink()
    monkeypatch.setattr("vpn.agent.memory.listing._VALID", 0.0)
    wait_until(lambda: listing.hubs() == [], 30, "its end")
