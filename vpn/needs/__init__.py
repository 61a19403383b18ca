"""What needs someone, and why, as facts: the one place that every page, the API and /healthz take it from.

Pure reading of rows, with a constant number of queries however many instances are asked about. The words are those of
`vpn.presenters.needs`.
"""

from vpn.needs.hub import needs_of, needs_of_all
from vpn.needs.need import Code, Need
from vpn.needs.reach import reachable, reachable_of_all

__all__ = [
    "Code",
    "Need",
    "needs_of",
    "needs_of_all",
    "reachable",
    "reachable_of_all",
]
