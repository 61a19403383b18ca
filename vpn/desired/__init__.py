"""Rows to HubSpec: what a hub should run, whole or as the difference to what it confirmed last."""

from vpn.desired.compiling import (
    ConcurrentChange,
    Desired,
    can_be_delta,
    compile_change,
    compile_digest,
    compile_placed,
    compile_removals,
    compile_spec,
)
from vpn.desired.peers import PLACEHOLDER_ID, PROBE_ID

__all__ = [
    "PLACEHOLDER_ID",
    "PROBE_ID",
    "ConcurrentChange",
    "Desired",
    "can_be_delta",
    "compile_change",
    "compile_digest",
    "compile_placed",
    "compile_removals",
    "compile_spec",
]
