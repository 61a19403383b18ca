"""What needs someone, and why: the one place that every page, the API and /healthz take it from.

Pure reading of rows, with a constant number of queries however many instances are asked about.
"""

from vpn.needs.hub import needs_of, needs_of_all
from vpn.needs.need import Code, Need
from vpn.needs.portal import hubs_health, portal_needs
from vpn.needs.reach import reachable, reachable_of_all

__all__ = [
    "Code",
    "Need",
    "hubs_health",
    "needs_of",
    "needs_of_all",
    "portal_needs",
    "reachable",
    "reachable_of_all",
]
