"""The deadlines of trials (vpn.wire.trial): when a hub returns to its former settings, and whether it has.

`trial.json` in the hub's directory is written before the settings on trial are applied. So an agent that is killed in
between leaves a deadline, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vpn.agent.system import clock, files
from vpn.wire.lease import Moment, parse_moment

_FILE: Final = "trial.json"


@dataclass(frozen=True)
class Deadline:
    """The end of a trial, by the clock of leases. None if it is not known, and so over."""

    trial: str
    end: Moment | None
    has_returned: bool = False

    @property
    def left(self) -> float:
        """The seconds left; 0 if it is over, as every trial is after a restart of the server."""
        now = clock.now()
        return max(0.0, self.end.seconds - now.seconds) if self.end is not None and self.end.boot == now.boot else 0.0

    @property
    def is_due(self) -> bool:
        """True if the hub should have its former settings, but was not brought back to them."""
        return not self.has_returned and not self.left


@dataclass(frozen=True)
class Deadlines:
    """The deadline of one hub, in its directory below `state`. Writing needs the hub's lock."""

    state: Path
    hub: str

    def load(self) -> Deadline | None:
        """Return the deadline; None if there is none."""
        document = files.read_json(self._path)
        if document is None and not self._path.exists():
            return None
        found: Mapping[str, Any] = document if isinstance(document, dict) else {}
        return Deadline(str(found.get("trial")), parse_moment(found.get("end")), found.get("has_returned") is True)

    def save(self, deadline: Deadline) -> None:
        """Save the deadline, durably. Raises AgentError."""
        files.private_directory(self._path.parent)
        end = deadline.end.document() if deadline.end is not None else None
        document = {"trial": deadline.trial, "end": end, "has_returned": deadline.has_returned}
        files.replace(self._path, json.dumps(document))

    def forget(self) -> None:
        """Delete the deadline."""
        self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.state / self.hub / _FILE
