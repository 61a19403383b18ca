"""Tests of the agent that touch nothing: the door to the operating system stays shut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vpn.agent.system import command


@pytest.fixture(autouse=True)
def _shut_door() -> Iterator[None]:
    with command.forbid():
        yield
