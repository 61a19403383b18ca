"""Problems that need a person, as facts: the only source for every page, the API and /healthz.

It only reads rows, with a constant number of queries for any number of instances. The words are in
`vpn.presenters.needs`.
"""

from vpn.needs.hub import needs_of, needs_of_all
from vpn.needs.need import Code, Need
from vpn.needs.peer_facts import MOST_NAMED, PeerFacts, peer_facts_of
from vpn.needs.reach import proofs_of_all, reachable_in

__all__ = [
    "MOST_NAMED",
    "Code",
    "Need",
    "PeerFacts",
    "needs_of",
    "needs_of_all",
    "peer_facts_of",
    "proofs_of_all",
    "reachable_in",
]
