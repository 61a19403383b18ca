"""What the agent remembers of its hubs, under its own directory.

host.lock               one agent at a time changes what hubs share (see lock)
locks/<hub>.lock        one agent at a time changes a hub
links.json              which hub has which link to the host
users.json              which user ids the daemons of which hub have (see users)
sources.json            which addresses hubs speak from, with their ports (see network.source)
servers.json            what of the host and behind it which hub's tunnels reach
marks.json              digests of what was loaded into the host's firewall
destroyed/<hub>.json    what was destroyed, so that a late apply cannot bring it back
<hub>/spec.json         the last whole spec; spec.json.next one that is being applied
<hub>/journal           the deltas since, one a line, so that one peer more does not rewrite megabytes
<hub>/unsettled         there while the hub is being changed: if it is found later, everything is compared
<hub>/endpoints.json    where the peers were last heard from
<hub>/due               when the time of a peer is over next (see expiry)
<hub>/moves.json        who changes protocol, and from when on the new one counts
<hub>/openvpn/          what OpenVPN's listeners read (see openvpn.config)
<hub>/dns/              what the hub's resolver reads (see dns.config)
<hub>/marks.json        digests of what was loaded into the hub's firewall
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vpn.agent.memory.saved import Saved, Stamp
from vpn.agent.memory.shared import Shared
from vpn.agent.system import files
from vpn.wire.delta import HubDelta, parse_delta
from vpn.wire.errors import AgentError
from vpn.wire.spec import HubSpec, parse_spec

COMPACT_AT: Final = 256 * 1024  # bytes of journal, and at least a quarter of the spec it stands beside
# An address and a port. One with a zone (link-local) is not worth remembering: the zone may be another one tomorrow.
_ENDPOINT: Final = re.compile(r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-f:.]{2,45}\]):[0-9]{1,5}")


@dataclass
class State:
    """The agent's directory. Reading needs no lock, writing needs the hub's."""

    directory: Path
    cache: dict[str, Saved] = field(default_factory=dict)

    @property
    def shared(self) -> Shared:
        """What hubs share."""
        return Shared(self.directory)

    # Specs.

    def hubs(self) -> list[str]:
        """Return the names of the hubs that are here."""
        try:
            entries = [entry.name for entry in os.scandir(self.directory) if entry.is_dir()]
        except FileNotFoundError:
            return []
        return sorted(
            name for name in entries if name != "destroyed" and (self.directory / name / "spec.json").exists()
        )

    def load(self, hub: str) -> Saved | None:
        """Return the hub as saved, from memory when nothing was written since, or None for one that is not here."""
        stamp = self._stamp(hub)
        if stamp is None:
            self.cache.pop(hub, None)
            return None
        cached = self.cache.get(hub)
        if cached is not None and cached.stamp == stamp:
            return cached
        document = files.read_json(self._path(hub, "spec.json"))
        try:
            saved = Saved.of(parse_spec(document))
        except AgentError:
            # A spec that an older or newer agent wrote, or a damaged disk: the portal sends it again.
            return None
        self._replay(saved, hub)
        saved.stamp = stamp
        self.cache[hub] = saved
        return saved

    def prepare(self, saved: Saved) -> None:
        """Write the whole spec down beside the one that is in force, so that there is room for it once it is."""
        hub = saved.spec.hub
        files.private_directory(self.directory / hub)
        files.replace(self._path(hub, "spec.json.next"), json.dumps(saved.spec.document(), separators=(",", ":")))

    def save(self, saved: Saved) -> None:
        """Write the whole spec down; its journal is over."""
        self.prepare(saved)
        self.save_prepared(saved)

    def save_prepared(self, saved: Saved) -> None:
        """Put the spec that was prepared in force; the journal of the one before is over."""
        hub = saved.spec.hub
        files.put_in_place(self._path(hub, "spec.json.next"), self._path(hub, "spec.json"))
        # A journal that outlives a crash here is skipped by its generations.
        self._path(hub, "journal").unlink(missing_ok=True)
        self._remember(saved)

    def save_delta(self, saved: Saved, delta: HubDelta) -> None:
        """Write `delta` down, which `saved` already holds."""
        hub = saved.spec.hub
        payload = json.dumps(delta.document(), separators=(",", ":"))
        files.append_line(self._path(hub, "journal"), f"{_checksum(payload)} {payload}")
        self._remember(saved)
        spec_bytes, journal_bytes = (part[1] for part in saved.stamp)
        if journal_bytes > max(COMPACT_AT, spec_bytes // 4):
            self.save(saved)

    def forget(self, hub: str) -> None:
        """Remove all that is remembered of a hub, but its tombstone."""
        self.cache.pop(hub, None)
        # The spec first: what is left of a removal that was killed is no hub any more.
        self._path(hub, "spec.json").unlink(missing_ok=True)
        files.remove_tree(self.directory / hub)

    def _remember(self, saved: Saved) -> None:
        saved.stamp = self._stamp(saved.spec.hub) or ()
        self.cache[saved.spec.hub] = saved
        self._forget_moves(saved.spec)

    def _forget_moves(self, spec: HubSpec) -> None:
        """Forget the moves of peers that change nothing any more by what is saved: until then one may be needed."""
        moves = self.moves(spec.hub)
        moving = {key: move for key, move in moves.items() if (peer := spec.peers.get(key)) and peer.former is not None}
        if moving != moves:
            # What is kept for too long does no harm, and the next one who saves forgets it.
            with suppress(AgentError, OSError):
                self.save_moves(spec.hub, moving)

    def _stamp(self, hub: str) -> Stamp | None:
        try:
            spec = self._path(hub, "spec.json").stat()
        except OSError:
            return None
        try:
            journal = self._path(hub, "journal").stat()
        except OSError:
            return ((spec.st_ino, spec.st_size, spec.st_mtime_ns), (0, 0, 0))
        return ((spec.st_ino, spec.st_size, spec.st_mtime_ns), (journal.st_ino, journal.st_size, journal.st_mtime_ns))

    def _replay(self, saved: Saved, hub: str) -> None:
        path = self._path(hub, "journal")
        text = files.read_text(path)
        if not text:
            return
        for line in text.splitlines(keepends=True):
            checksum, _, payload = line.rstrip("\n").partition(" ")
            if not line.endswith("\n") or checksum != _checksum(payload):
                break  # torn by a power cut: this delta was never confirmed
            try:
                delta = parse_delta(json.loads(payload))
                if delta.version <= saved.spec.version:
                    continue
                saved.advance(delta, saved.change(delta))
            except (AgentError, ValueError):
                break
        else:
            return
        # Nothing may ever be appended behind a torn line.
        files.replace(self._path(hub, "spec.json"), json.dumps(saved.spec.document(), separators=(",", ":")))
        path.unlink(missing_ok=True)

    # Marks beside the specs.

    def unsettle(self, hub: str) -> None:
        """Note that reality is about to be changed. It need not survive a power cut, as reality does not."""
        files.private_directory(self.directory / hub)
        self._path(hub, "unsettled").touch(mode=0o600)

    def settle(self, hub: str) -> None:
        """Note that reality is what is saved."""
        self._path(hub, "unsettled").unlink(missing_ok=True)

    @contextmanager
    def unsettled(self, hub: str) -> Iterator[None]:
        """Change reality within this. The mark stays when that fails: the next apply then compares everything."""
        self.unsettle(hub)
        yield
        self.settle(hub)

    def settled(self, hub: str) -> bool:
        """Return whether reality was left as it is saved."""
        return not self._path(hub, "unsettled").exists()

    def endpoints(self, hub: str) -> dict[str, tuple[str, bool]]:
        """Return by public key where the peers were last heard from, and whether they were talking."""
        document = files.read_json(self._path(hub, "endpoints.json"))
        if not isinstance(document, dict):
            return {}
        return {
            key: (value[0], bool(value[1]))
            for key, value in document.items()
            if isinstance(value, list) and len(value) == 2 and _ENDPOINT.fullmatch(str(value[0]))
        }

    def save_endpoints(self, hub: str, endpoints: dict[str, tuple[str, bool]]) -> None:
        """Remember where the peers are; what a power cut takes of it does no harm."""
        if self._path(hub, "spec.json").exists():
            files.replace(self._path(hub, "endpoints.json"), json.dumps(endpoints), durable=False)

    def openvpn(self, hub: str) -> Path:
        """Return where the files of a hub's OpenVPN are."""
        return self._path(hub, "openvpn")

    def dns(self, hub: str) -> Path:
        """Return where the files of a hub's resolver are."""
        return self._path(hub, "dns")

    def marks(self, hub: str) -> dict[str, str]:
        """Return the marks that components left for a hub, by name."""
        document = files.read_json(self._path(hub, "marks.json"))
        return {str(key): str(value) for key, value in document.items()} if isinstance(document, dict) else {}

    def save_marks(self, hub: str, marks: dict[str, str]) -> None:
        """Remember marks; losing them means work done twice."""
        files.private_directory(self.directory / hub)
        files.replace(self._path(hub, "marks.json"), json.dumps(marks, sort_keys=True), durable=False)

    def moves(self, hub: str) -> dict[str, Any]:
        """Return which peers of a hub change their protocol (see protocol_switch); none where the file is damaged."""
        document = files.read_json(self._path(hub, "moves.json"))
        return document if isinstance(document, dict) else {}

    def save_moves(self, hub: str, moves: dict[str, Any]) -> None:
        """Remember moves; losing one would let a session in that is over."""
        files.private_directory(self.directory / hub)
        files.replace(self._path(hub, "moves.json"), json.dumps(moves, sort_keys=True))

    def due(self, hub: str) -> int | None:
        """Return when (Unix time) the time of one of a hub's peers is over next, None where that is never."""
        text = files.read_text(self._path(hub, "due"))
        return int(text) if text is not None and text.isdecimal() else None

    def save_due(self, hub: str, moment: int | None) -> None:
        """Remember when the time of a peer is over next; a power cut ends all peers, and `restore` looks anew."""
        if moment == self.due(hub):
            return
        if moment is None:
            self._path(hub, "due").unlink(missing_ok=True)
        else:
            files.private_directory(self.directory / hub)
            files.replace(self._path(hub, "due"), str(moment), durable=False)

    def _path(self, hub: str, name: str) -> Path:
        return self.directory / hub / name


def _checksum(payload: str) -> str:
    return hashlib.sha256(payload.encode()).hexdigest()[:16]
