"""A change on trial: the hub returns to its former settings by itself unless a later spec confirms the change.

A spec with a trial has the new settings, and beside them the former ones. The agent counts the seconds from when it
first applies the spec. Peers are in the spec once: who was removed meanwhile stays out, whichever settings apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from vpn.wire import parsing, report_values
from vpn.wire.documents import TrialDocument
from vpn.wire.parsing import UUID, Faults
from vpn.wire.report_values import ReportInvalidError
from vpn.wire.rules import Rule, parse_rules

# What an agent names among its features if it knows trials.
FEATURE: Final = "trial"
LONGEST: Final = 3600  # seconds
POLICIES: Final = ("allow", "deny")
_FIELDS: Final = frozenset({"id", "seconds", "former"})
_FORMER: Final = frozenset({"forwarding", "rules", "pushed_routes", "networks"})


@dataclass(frozen=True)
class Trial:
    """A trial: its id, its length, and the former settings. `networks` are those opened behind the server."""

    id: str
    seconds: int
    forwarding: str
    rules: tuple[Rule, ...]
    pushed_routes: tuple[str, ...]
    networks: tuple[str, ...]

    def document(self) -> TrialDocument:
        """Return it as JSON data."""
        return {
            "id": self.id,
            "seconds": self.seconds,
            "former": {
                "forwarding": self.forwarding,
                "rules": [rule.document() for rule in self.rules],
                "pushed_routes": list(self.pushed_routes),
                "networks": list(self.networks),
            },
        }


def parse_trial(value: object, faults: Faults) -> Trial | None:
    """Return the trial that `value` (JSON data) describes; adds to `faults`."""
    if value is None:
        return None
    data = parsing.fields_of(value, "trial", _FIELDS, faults)
    former = parsing.fields_of(data.get("former"), "trial former", _FORMER, faults)
    return Trial(
        id=parsing.text(data.get("id"), "trial id", UUID, faults),
        seconds=parsing.number(data.get("seconds"), "trial seconds", 1, LONGEST, faults),
        forwarding=parsing.choice(former.get("forwarding"), "trial forwarding", POLICIES, faults),
        rules=parse_rules(former.get("rules"), faults),
        pushed_routes=parsing.networks(former.get("pushed_routes"), "trial pushed_routes", faults),
        networks=parsing.networks(former.get("networks"), "trial networks", faults),
    )


@dataclass(frozen=True)
class TrialReport:
    """What an agent says of a trial: the seconds left, and whether the hub has returned to its former settings."""

    id: str
    left: float
    has_returned: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"id": self.id, "left": self.left, "has_returned": self.has_returned}


def parse_trial_report(document: object) -> TrialReport:
    """Return the report that `document` describes. Raises ReportInvalidError."""
    if not isinstance(document, dict):
        raise ReportInvalidError("trial is an object")
    return TrialReport(
        id=report_values.text(document, "id", UUID),
        left=min(report_values.seconds(document.get("left"), "left"), float(LONGEST)),
        has_returned=document.get("has_returned") is True,
    )
