"""Which set elements change when a few peers change, computed without reading all other peers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from vpn.agent.firewall import sets as firewall_sets
from vpn.wire.intervals import Span, is_single, joined, span_of
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec

_Elements = dict[str, set[str]]


@dataclass(frozen=True)
class Delta:
    """Removed and added elements by set name. An element that stays is in neither: a packet always finds it."""

    removed: Mapping[str, set[str]]
    added: Mapping[str, set[str]]

    @property
    def is_empty(self) -> bool:
        """True if no set changes."""
        return not (self.removed or self.added)


def of(spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> Delta | None:
    """Return what changes in sets when peers change from `before` to `after`, as in `spec`.

    None if a set must become one of ranges instead of single addresses.
    """
    tags = set(firewall_sets.tags_of(spec.rules))
    if not tags:
        return Delta({}, {})
    touched = _touched(tags, spec, before, after)
    carriers = firewall_sets.carriers_of(touched, spec.peers)
    by_ranges = set()
    for tag in touched:
        changed = [peer for peer in (*before.values(), *after.values()) if tag in peer.tags]
        if not tag.startswith("site:") and firewall_sets.needs_ranges(tag, [*changed, *carriers[tag]]):
            return None
        if tag.startswith("site:"):
            by_ranges.add(tag)
    old = _single(touched - by_ranges, before)
    new = _single(touched - by_ranges, after)
    if by_ranges:
        near = _near(by_ranges, spec.peers, before)
        old |= _ranges(by_ranges, former_peers(near, before, after))
        new |= _ranges(by_ranges, near)
    return Delta(_less(old, new), _less(new, old))


def former_peers(peers: Mapping[str, Peer], before: Mapping[str, Peer], after: Mapping[str, Peer]) -> dict[str, Peer]:
    """Return `peers` as they were before some changed from `before` to `after`."""
    return {key: peer for key, peer in peers.items() if key not in after} | dict(before)


def _near(tags: set[str], peers: Mapping[str, Peer], before: Mapping[str, Peer]) -> dict[str, Peer]:
    """Return those of `peers` that affect the ranges of `tags`, now or as they were `before`.

    These are the peers with one of the tags, and those with a network within the networks of such a peer. Comparing
    all others takes most of the time, since few of 10,000 peers belong to the sites that change.
    """
    carriers = [peer for peer in (*peers.values(), *before.values()) if not tags.isdisjoint(peer.tags)]
    wide = joined(span_of(network) for peer in carriers for network in peer.networks)
    starts = [span[:2] for span in wide]

    def is_near(network: str) -> bool:
        span = span_of(network)
        position = bisect_right(starts, span[:2]) - 1
        return position >= 0 and wide[position].holds(span)

    return {key: peer for key, peer in peers.items() if any(map(is_near, peer.networks))}


def _touched(tags: set[str], spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> set[str]:
    """Return the tags whose sets may change."""
    touched = set()
    moved: list[Span] = []
    for peer_id in before.keys() | after.keys():
        old, new = before.get(peer_id), after.get(peer_id)
        owned_before = (set(old.tags), set(old.networks)) if old else (set(), set())
        owned_after = (set(new.tags), set(new.networks)) if new else (set(), set())
        if owned_before == owned_after:
            continue
        touched |= (owned_before[0] | owned_after[0]) & tags
        moved += map(span_of, owned_before[1] ^ owned_after[1])
    # A changed network is also cut out of the wider networks of other sites.
    sites = {tag for tag in tags - touched if tag.startswith("site:")}
    for tag, peers in firewall_sets.carriers_of(sites, spec.peers).items() if sites and moved else ():
        wide = [network for peer in peers for network in peer.networks if not is_single(network)]
        if any(network.holds(other) for network in map(span_of, wide) for other in moved):
            touched.add(tag)
    return touched


def _single(tags: set[str], peers: Mapping[str, Peer]) -> _Elements:
    elements: _Elements = {}
    for peer in peers.values():
        for tag in tags.intersection(peer.tags):
            for family in firewall_sets.FAMILIES:
                found = firewall_sets.single_addresses(firewall_sets.covered(tag, peer), family)
                elements.setdefault(firewall_sets.set_name(tag, family), set()).update(found)
    return elements


def _ranges(tags: set[str], peers: Mapping[str, Peer]) -> _Elements:
    return {name: set(each.elements) for name, each in firewall_sets.of_tags(sorted(tags), peers).items()}


def _less(elements: _Elements, others: _Elements) -> _Elements:
    less = {name: each - others.get(name, set()) for name, each in elements.items()}
    return {name: each for name, each in less.items() if each}
