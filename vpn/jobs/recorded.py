"""Which report of each hub this worker recorded last, so that the agent need only report what has changed since."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vpn.wire.report import HubReport

# Then the whole report is asked for: it corrects what another worker, or a restored backup, has written meanwhile.
_WHOLE_EVERY: Final = 60.0  # seconds


@dataclass
class Recorded:
    """The stamps of recorded reports, in this process alone. A lost stamp costs one whole report."""

    _stamps: dict[UUID, tuple[str, float]] = field(default_factory=dict)
    # What the last recorded report says of the hub itself: a short one says it again.
    _hubs: dict[UUID, tuple[object, ...]] = field(default_factory=dict)

    def stamp(self, instance_id: UUID) -> str:
        """Return the stamp of the last recorded report; "" if the next one has to be whole."""
        stamp, whole_at = self._stamps.get(instance_id, ("", 0.0))
        return stamp if time.monotonic() - whole_at < _WHOLE_EVERY else ""

    def note(self, instance_id: UUID, report: HubReport) -> None:
        """Note that a report was recorded."""
        _, whole_at = self._stamps.get(instance_id, ("", 0.0))
        self._stamps[instance_id] = report.stamp, whole_at if report.since else time.monotonic()
        self._hubs[instance_id] = _of_hub(report)

    def says_nothing_new(self, instance_id: UUID, report: HubReport) -> bool:
        """Return True if a report differs from the last recorded one by its time alone."""
        is_next = bool(report.since) and self._stamps.get(instance_id, ("",))[0] == report.since
        has_news = report.peers or report.sessions or report.ended
        return is_next and not has_news and self._hubs.get(instance_id) == _of_hub(report)


def _of_hub(report: HubReport) -> tuple[object, ...]:
    return report.hits, report.families, report.upstreams
