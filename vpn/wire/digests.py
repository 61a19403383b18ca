"""Digests of specs. The sum over the peers lets a delta name its target digest without reading the other peers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

_MODULUS: Final = 2**256
_NOT_IN_HEADER: Final = frozenset({"peers", "generation", "epoch"})
# Fields of later releases. A spec without them has the same digest as one where they are empty.
_OPTIONAL: Final = frozenset(
    {"openvpn", "pushed_routes", "dns", "search_domains", "rules", "resolver", "server", "trial"}
)


def canonical(document: object) -> bytes:
    """Return JSON data in the canonical form for digests."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def header_digest(spec: Mapping[str, Any]) -> str:
    """Return the digest (hex SHA-256) of a spec document without its peers, epoch and generation."""
    header = {
        key: value for key, value in spec.items() if key not in _NOT_IN_HEADER and not (key in _OPTIONAL and not value)
    }
    return hashlib.sha256(canonical(header)).hexdigest()


def peer_digest(peer_id: str, peer: Mapping[str, Any]) -> int:
    """Return the digest of one peer document as a number below 2**256."""
    return int.from_bytes(hashlib.sha256(canonical([peer_id, peer])).digest(), "big")


def peers_total(peers: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the sum of the digests of peer documents (by id), modulo 2**256."""
    return sum(peer_digest(peer_id, peer) for peer_id, peer in peers.items()) % _MODULUS


def changed_total(total: int, removed: Iterable[int], added: Iterable[int]) -> int:
    """Return `total` without the peer digests `removed` and with those `added`."""
    return (total - sum(removed) + sum(added)) % _MODULUS


def spec_digest(header: str, total: int) -> str:
    """Return the digest (hex SHA-256) of a spec from the digest of its header and the total of its peers."""
    return hashlib.sha256(canonical([header, f"{total:064x}"])).hexdigest()


def digest(spec: Mapping[str, Any]) -> str:
    """Return the digest of a whole spec document."""
    return spec_digest(header_digest(spec), peers_total(spec["peers"]))
