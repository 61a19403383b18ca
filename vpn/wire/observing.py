"""The command `observe`: the reports of many hubs of one server in one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from vpn.wire.errors import AgentError, parse_error
from vpn.wire.identity import HUB
from vpn.wire.lease import Moment, parse_lease
from vpn.wire.parsing import Faults
from vpn.wire.report import STAMP, HubReport, parse_report
from vpn.wire.report_values import ReportInvalidError

Observed: TypeAlias = HubReport | AgentError | ReportInvalidError

COMMAND: Final = "observe"
MOST_HUBS: Final = 1000
_LONGEST: Final = 20.0  # seconds


@dataclass(frozen=True)
class Observing:
    """The hubs to report on, in this order, each with the stamp of the last recorded report; "" for a whole one.

    After `seconds`, the agent begins no further report. All of these hubs get a lease until `lease`; without it, they
    run without one.
    """

    hubs: Mapping[str, str]
    seconds: float
    lease: Moment | None = None

    def document(self) -> dict[str, Any]:
        """Return the request as JSON data."""
        lease = self.lease.document() if self.lease is not None else None
        return {"command": COMMAND, "hubs": dict(self.hubs), "seconds": self.seconds, "lease": lease}


def parse_observing(request: Mapping[str, Any]) -> Observing:
    """Return the request that `request` describes. Raises AgentError `invalid`."""
    hubs, seconds = request.get("hubs"), request.get("seconds")
    faults = Faults()
    if not isinstance(hubs, dict) or len(hubs) > MOST_HUBS or not all(map(_is_known, hubs.items())):
        faults.append(f"hubs has not a stamp under each of at most {MOST_HUBS} names")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST:
        faults.append(f"seconds is not a number from 0 to {_LONGEST:.0f}")
    faults.raise_if_any("request")
    return Observing(request["hubs"], float(request["seconds"]), parse_lease(request.get("lease")))


def observed_document(observed: Mapping[str, HubReport | AgentError]) -> dict[str, Any]:
    """Return the answer as JSON data: by hub its report, or why there is none."""
    return {
        hub: {"report": one.document()} if isinstance(one, HubReport) else {"error": one.document()}
        for hub, one in observed.items()
    }


def parse_observed(document: object, asked: Mapping[str, str]) -> dict[str, Observed]:
    """Return by hub its report or what is wrong; a hub that the agent did not get to is left out.

    The document is untrusted: each report is validated on its own, so that a bad one spoils no other.
    Raises ReportInvalidError.
    """
    if not isinstance(document, dict):
        raise ReportInvalidError("observed is an object")
    return {hub: _one(hub, known, document[hub]) for hub, known in asked.items() if hub in document}


def _one(hub: str, known: str, document: object) -> Observed:
    if not isinstance(document, dict):
        return ReportInvalidError("observed has a report or an error under each hub")
    if "error" in document:
        return parse_error(document["error"])
    try:
        report = parse_report(document.get("report"))
    except ReportInvalidError as error:
        return error
    if report.hub != hub or report.since not in ("", known):
        return ReportInvalidError("the report is of another hub, or shortened by another report")
    return report


def _is_known(item: tuple[object, object]) -> bool:
    hub, stamp = item
    is_stamp = isinstance(stamp, str) and (not stamp or STAMP.fullmatch(stamp) is not None)
    return is_stamp and isinstance(hub, str) and HUB.fullmatch(hub) is not None
