"""The saved state of a hub, and how a delta changes it without reading the other peers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from vpn.wire import codes
from vpn.wire.delta import HubDelta
from vpn.wire.digests import changed_total, header_digest, peer_digest, peers_total, spec_digest
from vpn.wire.errors import BASE_MISMATCH, INVALID, AgentError
from vpn.wire.peers import Peer, PeerIndex, by_openvpn
from vpn.wire.spec import HubSpec

# Inode, size and modification time of the files that a hub was read from, to notice newer ones.
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Change:
    """The change of a delta: by id, each peer before (None: added) and after (None: removed)."""

    peers: dict[str, tuple[Peer | None, Peer | None]]

    def sides(self) -> tuple[dict[str, Peer], dict[str, Peer]]:
        """Return the peers before and after."""
        old = {peer_id: pair[0] for peer_id, pair in self.peers.items() if pair[0] is not None}
        new = {peer_id: pair[1] for peer_id, pair in self.peers.items() if pair[1] is not None}
        return old, new


@dataclass
class Saved:
    """The saved state of a hub, with indexes that make a delta cheap."""

    spec: HubSpec
    header: str
    total: int
    index: PeerIndex
    stamp: Stamp = ()

    @classmethod
    def of(cls, spec: HubSpec) -> Saved:
        """Return the state for a spec."""
        document = cast("dict[str, Any]", spec.document())
        return cls(
            spec, header_digest(document), peers_total(document["peers"]), PeerIndex.of(spec.addresses, spec.peers)
        )

    @property
    def digest(self) -> str:
        """The digest of the spec."""
        return spec_digest(self.header, self.total)

    def change(self, delta: HubDelta) -> Change:
        """Return what `delta` changes. Raises `base-mismatch` if its base or target digest does not match."""
        spec = self.spec
        if delta.base_generation != spec.generation or delta.base_digest != self.digest or delta.epoch != spec.epoch:
            message = "The hub is not in the state that the change starts from: send the whole spec."
            raise AgentError(BASE_MISMATCH, message, codes.HUB_OTHER_BASE.of())
        peers: dict[str, tuple[Peer | None, Peer | None]] = {
            peer_id: (spec.peers.get(peer_id), None) for peer_id in delta.remove if peer_id in spec.peers
        }
        peers.update(
            {
                peer_id: (spec.peers.get(peer_id), peer)
                for peer_id, peer in delta.upsert.items()
                if spec.peers.get(peer_id) != peer
            }
        )
        change = Change(peers)
        if not all(spec.admits(peer) for peer in by_openvpn(new for _, new in peers.values() if new is not None)):
            message = "The change needs a listener that the hub does not have: send the whole spec."
            raise AgentError(BASE_MISMATCH, message, codes.HUB_OTHER_BASE.of())
        if spec_digest(self._header_after(delta), self._total_after(change)) != delta.digest:
            message = "The change does not result in the state that it announces: send the whole spec."
            raise AgentError(BASE_MISMATCH, message, codes.HUB_OTHER_BASE.of())
        return change

    def advance(self, delta: HubDelta, change: Change) -> None:
        """Apply `delta` to this state. Raises AgentError `invalid`, without changing it, if peers would conflict."""
        clashes = self._reindex(change)
        if clashes:
            self._reindex(Change({peer_id: (new, old) for peer_id, (old, new) in change.peers.items()}))
            message = f"The change is not valid: {'; '.join(clashes[:10])}."
            raise AgentError(INVALID, message, codes.AGENT_DOCUMENT_INVALID.of("delta"))
        self.total = self._total_after(change)
        self.header = self._header_after(delta)
        peers = self.spec.peers
        for peer_id, (_, new) in change.peers.items():
            if new is None:
                del peers[peer_id]
            else:
                peers[peer_id] = new
        self.spec = replace(self._spec_after(delta), generation=delta.generation)

    def _spec_after(self, delta: HubDelta) -> HubSpec:
        """Return the spec with the changes of a delta except its peers."""
        spec = self.spec
        openvpn = replace(spec.openvpn, crl=delta.crl) if spec.openvpn is not None and delta.crl else spec.openvpn
        rules = spec.rules if delta.rules is None else delta.rules
        return replace(spec, openvpn=openvpn, rules=rules, forwarding=delta.forwarding or spec.forwarding)

    def _header_after(self, delta: HubDelta) -> str:
        if not delta.crl and delta.rules is None and not delta.forwarding:
            return self.header
        bare = replace(self._spec_after(delta), peers={})
        return header_digest(cast("dict[str, Any]", bare.document()))

    def _total_after(self, change: Change) -> int:
        old = [_digest_of(peer_id, pair[0]) for peer_id, pair in change.peers.items() if pair[0]]
        new = [_digest_of(peer_id, pair[1]) for peer_id, pair in change.peers.items() if pair[1]]
        return changed_total(self.total, old, new)

    def _reindex(self, change: Change) -> list[str]:
        for peer_id, (old, _) in change.peers.items():
            if old is not None:
                self.index.discard(peer_id, old)
        clashes = []
        for peer_id, (_, new) in change.peers.items():
            if new is not None:
                clashes += self.index.add(peer_id, new)
        return clashes


def _digest_of(peer_id: str, peer: Peer | None) -> int:
    return peer_digest(peer_id, cast("dict[str, Any]", peer.document())) if peer else 0
