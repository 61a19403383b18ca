"""Store HubReports as observed state. Reports are untrusted; `wire.report` has validated them."""

from vpn.observed.applied import record_applied
from vpn.observed.recording import note_unchanged, record_observations

__all__ = ["note_unchanged", "record_applied", "record_observations"]
