"""Reports of the changes that a request made."""

from __future__ import annotations

import time
from dataclasses import replace

from vpn.agent.memory.saved import Saved
from vpn.wire.report import HubReport


def of_change(saved: Saved, changed: dict[str, bool], started: float) -> HubReport:
    """Return the report of a hub that now matches `saved`. `started` (time.monotonic) is the request's arrival."""
    spec = saved.spec
    report = HubReport(spec.hub, spec.epoch, spec.generation, saved.digest, alive=True, observed_at=time.time())
    report.changed.update(changed)
    return timed(report, started)


def timed(report: HubReport, started: float) -> HubReport:
    """Return a report with the duration of the request that arrived at `started` (time.monotonic)."""
    return replace(report, duration_ms=round((time.monotonic() - started) * 1000, 3))
