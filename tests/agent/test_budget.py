"""A burst of background work is limited, and what it has spent comes back over time."""

from __future__ import annotations

import pytest

from vpn.agent.lifecycle.budget import Budget


def test_a_burst_ends_and_goes_on_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("vpn.agent.lifecycle.budget.time.monotonic", lambda: now[0])
    budget = Budget(share=0.05, most=0.5)
    spent = 0
    while budget.is_left():
        budget.spend(0.1)
        now[0] += 0.1
        spent += 1
    assert spent == 6, "0.5 s, and what came in meanwhile"
    now[0] += 2
    assert budget.is_left()
    budget.spend(0.3)
    assert not budget.is_left(), "it took more than there was"
    now[0] += 1000
    assert budget.is_left()
    budget.spend(0.5)
    assert not budget.is_left(), "not more than half a second is saved up"
