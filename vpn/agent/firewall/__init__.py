"""The firewall inside a hub: who reaches whom, and how many connections each peer may have."""

from vpn.agent.firewall.component import (
    change,
    cut,
    drift,
    ensure,
    hits,
    is_alive,
    judge_again,
    minds_ways,
    remove,
)

__all__ = ["change", "cut", "drift", "ensure", "hits", "is_alive", "judge_again", "minds_ways", "remove"]
