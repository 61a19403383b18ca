"""Store HubReports as observed state. Reports are untrusted; `wire.report` has validated them."""

from vpn.observed.applied import record_applied
from vpn.observed.recording import record_observations

__all__ = ["record_applied", "record_observations"]
