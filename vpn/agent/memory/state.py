"""The agent's saved state of its hubs, in its own directory.

host.lock               one agent at a time changes what hubs share (see lock)
locks/<hub>.lock        one agent at a time changes a hub
locks/<hub>.removals.lock      one agent at a time removes peers early, or begins to apply a version
links.json              the link number of each hub
users.json              the user ids of each hub's daemons (see users)
sources.json            the source addresses and ports of each hub (see network.source)
leases.json             the leases of hubs (see leases)
raised_limits.json      the kernel's limits that were raised for hubs (see lifecycle.host_parts)
servers.json            the addresses of the host and the networks behind it that each hub's tunnels may reach
fingerprints.json              digests of the host's loaded nftables tables
destroyed/<hub>.json    tombstones, so that a late apply cannot bring a hub back
<hub>/spec.json         the last whole spec; spec.json.next is one that is being applied
<hub>/journal           the deltas since then, one a line, so that a new peer does not rewrite megabytes
<hub>/unsettled         exists while the hub is being changed, with the new version; found later, everything is compared
<hub>/removals.json     peers that were removed before a spec without them is saved (see removals)
<hub>/trial.json        the end of a trial, and whether the hub returned to its former settings (see deadlines)
<hub>/endpoints.json    the last endpoints of the peers
<hub>/due               the time of the next expiry of a peer (see expiry)
<hub>/protocol_switches.json  peers that switch protocol (see protocol_switch)
<hub>/openvpn/          the files of OpenVPN's listeners (see openvpn.config)
<hub>/dns/              the files of the hub's resolver (see dns.config)
<hub>/fingerprints.json        digests of the hub's loaded nftables tables
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

from vpn.agent.memory.deadlines import Deadlines
from vpn.agent.memory.leases import Leases
from vpn.agent.memory.removals import Removals
from vpn.agent.memory.saved import Saved, Stamp
from vpn.agent.memory.shared import Shared, Version
from vpn.agent.system import files
from vpn.wire.delta import HubDelta, parse_delta
from vpn.wire.errors import AgentError
from vpn.wire.spec import HubSpec, parse_spec

COMPACT_AT: Final = 256 * 1024  # bytes of journal; the journal must also exceed a quarter of the spec
_SWITCHES: Final = "protocol_switches.json"
_FORMER_SWITCHES: Final = "moves.json"  # its name until now; read after an upgrade of the agent

# An address and a port. A link-local one with a zone is not saved: the zone may change.
_ENDPOINT: Final = re.compile(r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-f:.]{2,45}\]):[0-9]{1,5}")


@dataclass
class State:
    """The agent's directory. Reading needs no lock, writing needs the hub's lock."""

    directory: Path
    cache: dict[str, Saved] = field(default_factory=dict)
    leases: Leases = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Leases(self.directory, self.hubs)

    @property
    def shared(self) -> Shared:
        """The state that hubs share."""
        return Shared(self.directory)

    # Specs.

    def hubs(self) -> list[str]:
        """Return the names of the hubs on this server."""
        try:
            entries = [entry.name for entry in os.scandir(self.directory) if entry.is_dir()]
        except FileNotFoundError:
            return []
        directory = str(self.directory)
        return sorted(
            name for name in entries if name != "destroyed" and os.path.exists(f"{directory}/{name}/spec.json")
        )

    def load(self, hub: str) -> Saved | None:
        """Return the saved state of a hub (cached while its files are unchanged), or None if there is none."""
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
            # Written by an older or newer agent, or damaged: the portal sends the spec again.
            return None
        self._replay(saved, hub)
        saved.stamp = stamp
        self.cache[hub] = saved
        return saved

    def is_loaded(self, hub: str) -> bool:
        """Return True if `load` has the hub's state already. With thousands of peers, loading it may take seconds."""
        return hub in self.cache and self.cache[hub].stamp == self._stamp(hub)

    def prepare(self, saved: Saved) -> None:
        """Write the whole spec beside the current one, so that a full disk is noticed before it is applied."""
        hub = saved.spec.hub
        files.private_directory(self.directory / hub)
        files.replace(self._path(hub, "spec.json.next"), json.dumps(saved.spec.document(), separators=(",", ":")))

    def save(self, saved: Saved) -> None:
        """Write the whole spec and delete the journal."""
        self.prepare(saved)
        self.save_prepared(saved)

    def save_prepared(self, saved: Saved) -> None:
        """Make the prepared spec the current one and delete the journal."""
        hub = saved.spec.hub
        files.put_in_place(self._path(hub, "spec.json.next"), self._path(hub, "spec.json"))
        # If a crash leaves the journal here, its deltas are skipped because of their older generations.
        self._path(hub, "journal").unlink(missing_ok=True)
        self._remember(saved)

    def save_delta(self, saved: Saved, delta: HubDelta) -> None:
        """Append `delta` to the journal; `saved` already contains it."""
        hub = saved.spec.hub
        payload = json.dumps(delta.document(), separators=(",", ":"))
        files.append_line(self._path(hub, "journal"), f"{_checksum(payload)} {payload}")
        self._remember(saved)
        spec_bytes, journal_bytes = (part[1] for part in saved.stamp)
        if journal_bytes > max(COMPACT_AT, spec_bytes // 4):
            self.save(saved)

    def forget(self, hub: str) -> None:
        """Delete the saved state of a hub, except its tombstone."""
        self.cache.pop(hub, None)
        # The spec first: without it, the rest of an interrupted removal is not a hub.
        self._path(hub, "spec.json").unlink(missing_ok=True)
        with self.removals(hub).lock():
            files.remove_tree(self.directory / hub)

    def _remember(self, saved: Saved) -> None:
        saved.stamp = self._stamp(saved.spec.hub) or ()
        self.cache[saved.spec.hub] = saved
        self._forget_switches(saved.spec)
        # An entry that stays is deleted when the hub's lock is taken the next time.
        with suppress(AgentError, OSError):
            self.removals(saved.spec.hub).forget(saved.spec.version)

    def _forget_switches(self, spec: HubSpec) -> None:
        """Delete the protocol switches of peers that have no former connection in the saved spec."""
        switches = self.protocol_switches(spec.hub)
        kept = {key: each for key, each in switches.items() if key in spec.peers and spec.peers[key].former is not None}
        if kept != switches:
            # An entry that stays too long is harmless; the next save deletes it.
            with suppress(AgentError, OSError):
                self.save_protocol_switches(spec.hub, kept)

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
                break  # incomplete after a power cut: this delta was never confirmed
            try:
                delta = parse_delta(json.loads(payload))
                if delta.version <= saved.spec.version:
                    continue
                saved.advance(delta, saved.change(delta))
            except (AgentError, ValueError):
                break
        else:
            return
        # Nothing may be appended after an incomplete line.
        files.replace(self._path(hub, "spec.json"), json.dumps(saved.spec.document(), separators=(",", ":")))
        path.unlink(missing_ok=True)

    # Further state of a hub.

    def removals(self, hub: str) -> Removals:
        """Return the early removals of a hub."""
        return Removals(self.directory, hub)

    def deadlines(self, hub: str) -> Deadlines:
        """Return the deadline of a hub's trial."""
        return Deadlines(self.directory, hub)

    def unsettle(self, hub: str, version: Version | None = None) -> None:
        """Mark the hub as being changed, to `version` if it is a new one.

        The mark need not survive a power cut: the hub does not either.
        """
        files.private_directory(self.directory / hub)
        path = self._path(hub, "unsettled")
        with self.removals(hub).lock():
            path.touch(mode=0o600)
            with suppress(OSError):  # a full disk must not keep a removed peer connected
                path.write_text(f"{version[0]} {version[1]}" if version is not None else "")

    def settle(self, hub: str) -> None:
        """Note that the hub matches its saved state."""
        self._path(hub, "unsettled").unlink(missing_ok=True)

    @contextmanager
    def unsettled(self, hub: str, version: Version | None = None) -> Iterator[None]:
        """Mark the hub as unsettled while the block runs. If it fails, the next apply compares everything.

        `version` is the one that the block applies, if it is a new one.
        """
        self.unsettle(hub, version)
        yield
        self.settle(hub)

    def settled(self, hub: str) -> bool:
        """Return True if the hub matches its saved state."""
        return not self._path(hub, "unsettled").exists()

    def endpoints(self, hub: str) -> dict[str, tuple[str, bool]]:
        """Return by public key the last endpoint of each peer, and whether it had a session."""
        document = files.read_json(self._path(hub, "endpoints.json"))
        if not isinstance(document, dict):
            return {}
        return {
            key: (value[0], bool(value[1]))
            for key, value in document.items()
            if isinstance(value, list) and len(value) == 2 and _ENDPOINT.fullmatch(str(value[0]))
        }

    def save_endpoints(self, hub: str, endpoints: dict[str, tuple[str, bool]]) -> None:
        """Save the endpoints of peers. Losing some in a power cut is harmless."""
        if self._path(hub, "spec.json").exists():
            files.replace(self._path(hub, "endpoints.json"), json.dumps(endpoints), durable=False)

    def openvpn(self, hub: str) -> Path:
        """Return the directory of a hub's OpenVPN files."""
        return self._path(hub, "openvpn")

    def dns(self, hub: str) -> Path:
        """Return the directory of a hub's resolver files."""
        return self._path(hub, "dns")

    def fingerprints(self, hub: str) -> dict[str, str]:
        """Return the fingerprints of a hub's loaded tables, by name."""
        document = files.read_json(self._path(hub, "fingerprints.json"))
        return {str(key): str(value) for key, value in document.items()} if isinstance(document, dict) else {}

    def save_fingerprints(self, hub: str, fingerprints: dict[str, str]) -> None:
        """Save the fingerprints. If they are lost, the tables are loaded again."""
        files.private_directory(self.directory / hub)
        files.replace(self._path(hub, "fingerprints.json"), json.dumps(fingerprints, sort_keys=True), durable=False)

    def protocol_switches(self, hub: str) -> dict[str, Any]:
        """Return the peers of a hub that switch protocol (see protocol_switch); none if the file is damaged."""
        document = files.read_json(self._path(hub, _SWITCHES))
        if document is None:
            document = files.read_json(self._path(hub, _FORMER_SWITCHES))
        return document if isinstance(document, dict) else {}

    def save_protocol_switches(self, hub: str, switches: dict[str, Any]) -> None:
        """Save the protocol switches. Losing one would open a closed former connection again."""
        files.private_directory(self.directory / hub)
        files.replace(self._path(hub, _SWITCHES), json.dumps(switches, sort_keys=True))
        self._path(hub, _FORMER_SWITCHES).unlink(missing_ok=True)

    def due(self, hub: str) -> int | None:
        """Return the time (Unix time) of the next expiry of a peer; None if there is none."""
        text = files.read_text(self._path(hub, "due"))
        return int(text) if text is not None and text.isdecimal() else None

    def save_due(self, hub: str, moment: int | None) -> None:
        """Save the time of the next expiry. It need not survive a power cut: `restore` computes it again."""
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
