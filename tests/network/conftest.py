"""The laboratory for tests: everything in this directory makes namespaces and needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.own import lab
from tests.network.firewall_world import World, build

__all__ = ["lab"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.network)


@pytest.fixture
def agent(lab: Lab) -> Iterator[Agent]:
    """An agent's session on the laboratory's host."""
    session = Agent(lab)
    yield session
    session.close()


@pytest.fixture
def hub(lab: Lab, agent: Agent) -> Hub:
    """A hub that is only desired so far."""
    return Hub(lab, agent)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Lab, Hub]]:
    """A laboratory with a hub that a file's tests share, for those that put everything back."""
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as laboratory:
        session = Agent(laboratory)
        yield laboratory, Hub(laboratory, session)
        session.close()


@pytest.fixture(scope="module")
def connected_world() -> Iterator[World]:
    """Machines and sites of both protocols, connected to a hub."""
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        built = build(lab)
        yield built
        built.probers.close()
        built.agent.close()


@pytest.fixture
def firewall_world(connected_world: World) -> Iterator[World]:
    """The world of a file's firewall tests; its tags and subnets are restored afterwards."""
    before = dict(connected_world.devices)
    yield connected_world
    for name in ("alice", "bob"):
        connected_world.probers.end(connected_world.node(name))
    changed = [device for name, device in before.items() if connected_world.devices[name] != device]
    connected_world.devices.update(before)
    if changed:
        connected_world.hub.send(connected_world.hub.delta(upsert=changed))
        # A session over OpenVPN begins anew with other networks.
        for node in (connected_world.paris.router, connected_world.bob):
            connected_world.lab.wait_ping(node, connected_world.hub.v4)
