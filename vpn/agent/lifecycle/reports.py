"""Reports of what a request changed."""

from __future__ import annotations

import time
from dataclasses import replace

from vpn.agent.memory.saved import Saved
from vpn.wire.report import HubReport


def of_change(saved: Saved, changed: dict[str, bool], started: float) -> HubReport:
    """Return the report of a hub that is as `saved` now; `started` (time.monotonic) is when the request came."""
    spec = saved.spec
    report = HubReport(spec.hub, spec.epoch, spec.generation, saved.digest, alive=True, observed_at=time.time())
    report.changed.update(changed)
    return timed(report, started)


def timed(report: HubReport, started: float) -> HubReport:
    """Return a report with how long the request took, which came at `started` (time.monotonic)."""
    return replace(report, duration_ms=round((time.monotonic() - started) * 1000, 3))
