"""A portal and a laboratory for the whole stories."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.running_portal import RunningPortal


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Namespaces that play host, internet, clients and sites."""
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture(scope="module")
def portal(lab: Lab) -> Iterator[RunningPortal]:
    """The portal's real processes, with the laboratory's host for its hubs."""
    with RunningPortal.of_story(lab.host.netns, lab.host.v4) as running:
        yield running
