"""Tests of the agent that do not touch the system: commands are forbidden."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vpn.agent.system import command


@pytest.fixture(autouse=True)
def _forbid_commands() -> Iterator[None]:
    with command.forbid():
        yield
