"""Early removals: peers that have lost their access to a hub although its saved spec still contains them.

`removals.json` contains for each of them, by its id, the version (epoch and generation) that removes it. The entry ends
when a spec of this version or a later one is saved.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vpn.agent.memory.shared import Version
from vpn.agent.system import files
from vpn.agent.system.lock import removals_lock

_FILE: Final = "removals.json"


@dataclass(frozen=True)
class Removals:
    """The early removals of one hub, in its directory below `state`."""

    state: Path
    hub: str

    def lock(self) -> AbstractContextManager[None]:
        """Hold the lock for early removals, and for the version that is being applied."""
        return removals_lock(self.state, self.hub)

    def pending(self) -> dict[str, Version]:
        """Return by the ids of peers the versions that remove them."""
        document = files.read_json(self._path(_FILE))
        found = document.items() if isinstance(document, dict) else ()
        return {peer_id: (int(version[0]), int(version[1])) for peer_id, version in found}

    def after(self, version: Version) -> set[str]:
        """Return the peers that a spec of this version may still contain."""
        return {peer_id for peer_id, removed_by in self.pending().items() if removed_by > version}

    def add(self, peers: Iterable[str], version: Version) -> None:
        """Record that a version removes these peers. Needs the lock. Raises AgentError."""
        before = self.pending()
        after = before | {peer_id: max(version, before.get(peer_id, version)) for peer_id in peers}
        if after != before:
            files.replace(self._path(_FILE), json.dumps(after, sort_keys=True))

    def forget(self, version: Version) -> None:
        """Delete the entries up to a version that is saved now."""
        if not self._path(_FILE).exists():
            return
        with self.lock():
            kept = {peer_id: removed_by for peer_id, removed_by in self.pending().items() if removed_by > version}
            if kept:
                files.replace(self._path(_FILE), json.dumps(kept, sort_keys=True))
            else:
                self._path(_FILE).unlink(missing_ok=True)

    def saved(self) -> tuple[Version, dict[str, Any]] | None:
        """Return the saved version and its peers' documents; None if there is none. Loading the spec takes longer."""
        deltas = list(self._deltas())
        spec = files.read_json(self._path("spec.json"))
        version, peers = _version(spec), _peers(spec)
        if version is None:
            return None
        for delta in deltas:
            newer = _version(delta)
            if newer is not None and newer > version:
                version = newer
                for peer_id in delta["remove"]:
                    peers.pop(peer_id, None)
                peers |= delta["upsert"]
        return version, peers

    def under_way(self) -> Version | None:
        """Return the version that is being applied, or was when the agent was killed; None if it is not known."""
        words = (files.read_text(self._path("unsettled")) or "").split()
        return (int(words[0]), int(words[1])) if len(words) == 2 else None

    def prepared(self, version: Version) -> dict[str, Any] | None:
        """Return the peers' documents in the spec of this version, if it is being applied as a whole."""
        document = files.read_json(self._path("spec.json.next"))
        return _peers(document) if _version(document) == version else None

    def keys_of(self, peers: Collection[str]) -> set[str]:
        """Return the public keys of these peers, in the saved spec and in the one that is being applied."""
        # In this order: the spec that is being applied becomes the saved one, and is in one of the two at any time.
        prepared = self.prepared(version) if (version := self.under_way()) is not None else None
        _, saved = self.saved() or (None, {})
        found = [each[peer_id] for each in (prepared or {}, saved) for peer_id in each.keys() & peers]
        sides = [side for peer in found for side in (peer, peer.get("former") or {})]
        return {side["public_key"] for side in sides if "public_key" in side}

    def expired(self, due: int | None, now: float) -> set[str]:
        """Return the peers that expired from `due` to `now` (Unix time), also by the spec that is being applied."""
        version = self.under_way()
        prepared = self.prepared(version) if version is not None else None
        newest, saved = self.saved() or ((0, 0), {})
        if due is None or (version is not None and version > newest and prepared is None):
            return set()  # a delta that is being applied, for a moment, may give a peer more time
        over = {key for key, peer in saved.items() if due <= peer.get("expires_at", 0) <= now}
        return {key for key in over if not _has_time(prepared, key, now)}

    def _deltas(self) -> Iterator[dict[str, Any]]:
        for line in (files.read_text(self._path("journal")) or "").splitlines():
            try:
                yield json.loads(line.partition(" ")[2])
            except ValueError:  # incomplete
                return

    def _path(self, name: str) -> Path:
        return self.state / self.hub / name


def _has_time(prepared: dict[str, Any] | None, peer_id: str, now: float) -> bool:
    """Return True if the spec that is being applied admits a peer at `now` (Unix time)."""
    return prepared is not None and peer_id in prepared and prepared[peer_id].get("expires_at", now + 1) > now


def _version(document: object) -> Version | None:
    return (document["epoch"], document["generation"]) if isinstance(document, dict) else None


def _peers(document: object) -> dict[str, Any]:
    return document["peers"] if isinstance(document, dict) else {}
