"""The address sets of the tags in firewall rules: one set for each tag and address family.

An address belongs to the peer with the longest matching prefix, so a narrower network of another peer is cut out of a
wider one. Elements are written as nft(8) lists them, so that they can be compared with the loaded ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from vpn.wire.intervals import BITS, Span, is_single, joined, most_specific, span_of, text_of
from vpn.wire.peers import Peer
from vpn.wire.rules import ROUTERS, Rule

FAMILIES: Final = (4, 6)


@dataclass(frozen=True)
class AddressSet:
    """A set of addresses of one family: single addresses (the fastest lookup) or ranges."""

    family: int
    ranges: bool
    elements: frozenset[str]

    @property
    def declaration(self) -> str:
        """The declaration of the set without elements, as nft(8) lists it."""
        return f"\t\ttype ipv{self.family}_addr\n" + ("\t\tflags interval\n" if self.ranges else "")


def tags_of(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the tags that rules use, each once."""
    return tuple(dict.fromkeys(tag for rule in rules for tag in rule.tags))


def set_name(tag: str, family: int) -> str:
    """Return the name of a tag's set."""
    kind, _, identifier = tag.partition(":")
    return f"{kind}_{identifier.replace('-', '')}_v{family}"


def covered(tag: str, peer: Peer) -> tuple[str, ...]:
    """Return the networks of a peer that a tag of it stands for."""
    return peer.hosts if tag == ROUTERS else peer.networks


def of_tags(tags: Collection[str], peers: Mapping[str, Peer]) -> dict[str, AddressSet]:
    """Return the sets of `tags` by set name."""
    carriers = carriers_of(tags, peers)
    by_ranges = {tag for tag in tags if needs_ranges(tag, carriers[tag])}
    owned = _owned(by_ranges, peers) if by_ranges else {}
    sets = {}
    for tag in tags:
        hosts = [network for peer in carriers[tag] for network in covered(tag, peer)] if tag not in by_ranges else []
        for family in FAMILIES:
            elements = owned.get((tag, family), []) if tag in by_ranges else single_addresses(hosts, family)
            sets[set_name(tag, family)] = AddressSet(family, tag in by_ranges, frozenset(elements))
    return sets


def carriers_of(tags: Collection[str], peers: Mapping[str, Peer]) -> dict[str, list[Peer]]:
    """Return by tag the peers that carry it."""
    carriers: dict[str, list[Peer]] = {tag: [] for tag in tags}
    for peer in peers.values():
        for tag in peer.tags:
            if tag in carriers:
                carriers[tag].append(peer)
    return carriers


def needs_ranges(tag: str, carriers: Iterable[Peer]) -> bool:
    """Return True if a tag covers networks, not only single addresses."""
    return tag.startswith("site:") or any(not is_single(network) for peer in carriers for network in covered(tag, peer))


def single_addresses(networks: Iterable[str], family: int) -> list[str]:
    """Return those `networks` of one family as single addresses."""
    return [network.partition("/")[0] for network in networks if (":" in network) == (family == 6)]


def merged(networks: Iterable[object]) -> frozenset[str]:
    """Return networks of one family, merged so that no two elements overlap or adjoin."""
    return frozenset(texts(joined(span_of(str(network)) for network in networks)))


def _owned(tags: Collection[str], peers: Mapping[str, Peer]) -> dict[tuple[str, int], list[str]]:
    """Return by tag and family the ranges that the peers with that tag own."""
    # Peers with the same tags are treated as one, because their networks end up in the same sets.
    kinds = {peer_id: tuple(tag for tag in peer.tags if tag in tags) for peer_id, peer in peers.items()}
    networks = ((span_of(network), kinds[peer_id]) for peer_id, peer in peers.items() for network in peer.networks)
    found: dict[tuple[str, int], list[Span]] = {}
    for kind, spans in most_specific(networks).items():
        for tag in kind:
            for span in spans:
                found.setdefault((tag, span.version), []).append(span)
    return {key: texts(joined(spans)) for key, spans in found.items()}


def texts(spans: Iterable[Span]) -> list[str]:
    """Return address ranges as nft(8) lists them."""
    return [_text(*span) for span in spans]


def _text(family: int, first: int, last: int) -> str:
    size = last - first + 1
    start = text_of(family, first)
    if size == 1:
        return start
    if size & (size - 1) == 0 and first % size == 0:
        return f"{start}/{BITS[family] - size.bit_length() + 1}"
    return f"{start}-{text_of(family, last)}"
