"""What the hubs of a server share in the agent's directory, and what is left of those that are gone (see State)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpn.agent.system import files
from vpn.agent.system.lock import host_lock
from vpn.wire.identity import parse_hub
from vpn.wire.parsing import Faults
from vpn.wire.server_side import ServerSide, parse_server

Version = tuple[int, int]


@dataclass(frozen=True)
class Shared:
    """The files of all hubs. Reading needs no lock; what changes one takes the host's lock by itself."""

    directory: Path

    def marks(self) -> dict[str, str]:
        """Return the marks for what all hubs of the host share."""
        document = files.read_json(self.directory / "marks.json")
        return {str(key): str(value) for key, value in document.items()} if isinstance(document, dict) else {}

    def save_marks(self, marks: dict[str, str]) -> None:
        """Remember marks of what hubs share; losing them means work done twice."""
        files.replace(self.directory / "marks.json", json.dumps(marks, sort_keys=True), durable=False)

    def links(self) -> dict[str, int]:
        """Return which hub has which link to the host."""
        document = files.read_json(self.directory / "links.json")
        if not isinstance(document, dict):
            return {}
        return {str(hub): number for hub, number in document.items() if isinstance(number, int)}

    def edit_links(self, edit: Callable[[dict[str, int]], object]) -> None:
        """Change which hub has which link."""
        with host_lock(self.directory):
            links = self.links()
            before = dict(links)
            edit(links)
            if links != before:
                files.replace(self.directory / "links.json", json.dumps(links, sort_keys=True))

    def sources(self) -> dict[str, Any]:
        """Return what each hub speaks from."""
        document = files.read_json(self.directory / "sources.json")
        return document if isinstance(document, dict) else {}

    def save_source(self, hub: str, source: dict[str, Any] | None) -> None:
        """Remember what a hub speaks from; None for one that is gone."""
        with host_lock(self.directory):
            sources = self.sources()
            after = {name: each for name, each in sources.items() if name != hub} | ({hub: source} if source else {})
            if after != sources:
                files.replace(self.directory / "sources.json", json.dumps(after, sort_keys=True), durable=False)

    def servers(self) -> dict[str, ServerSide]:
        """Return by hub what its tunnels reach of the host and behind it."""
        document = files.read_json(self.directory / "servers.json")
        found = document.items() if isinstance(document, dict) else ()
        return {str(hub): parse_server(value, Faults()) for hub, value in found}

    def save_server(self, hub: str, server: ServerSide) -> None:
        """Remember what a hub's tunnels reach of the host and behind it."""
        with host_lock(self.directory):
            servers = self.servers()
            if servers.get(hub) != server:
                documents = {key: each.document() for key, each in (servers | {hub: server}).items()}
                files.replace(self.directory / "servers.json", json.dumps(documents, sort_keys=True))

    def forget_server(self, hub: str) -> None:
        """Forget a hub that is gone."""
        with host_lock(self.directory):
            documents = {key: each.document() for key, each in self.servers().items() if key != hub}
            if (self.directory / "servers.json").exists():
                files.replace(self.directory / "servers.json", json.dumps(documents, sort_keys=True))

    def tombstone(self, hub: str) -> Version | None:
        """Return the epoch and generation at which a hub was destroyed, None for one that was not."""
        document = files.read_json(self.directory / "destroyed" / f"{parse_hub(hub)}.json")
        if not isinstance(document, dict):
            return None
        return int(document.get("epoch", 0)), int(document.get("generation", 0))

    def bury(self, hub: str, version: Version) -> None:
        """Leave a tombstone."""
        files.private_directory(self.directory / "destroyed")
        content = json.dumps({"epoch": version[0], "generation": version[1]})
        files.replace(self.directory / "destroyed" / f"{hub}.json", content)

    def exhume(self, hub: str) -> None:
        """Remove a tombstone: a newer epoch brings the hub back."""
        (self.directory / "destroyed" / f"{hub}.json").unlink(missing_ok=True)
