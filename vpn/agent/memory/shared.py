"""State that all hubs of a server share in the agent's directory, and tombstones of destroyed hubs (see State)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpn.agent.system import files
from vpn.agent.system.lock import host_lock
from vpn.wire.identity import parse_hub
from vpn.wire.parsing import Faults
from vpn.wire.server_side import NO_SERVER, ServerSide, parse_server

Version = tuple[int, int]


@dataclass(frozen=True)
class Shared:
    """Files that hubs share. Reading needs no lock; methods that change one take the host's lock."""

    directory: Path

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of the tables that all hubs of the host share."""
        document = files.read_json(self.directory / "fingerprints.json")
        return {str(key): str(value) for key, value in document.items()} if isinstance(document, dict) else {}

    def save_fingerprints(self, fingerprints: dict[str, str]) -> None:
        """Save the fingerprints of shared tables. If they are lost, the tables are loaded again."""
        files.replace(self.directory / "fingerprints.json", json.dumps(fingerprints, sort_keys=True), durable=False)

    def raised_limits(self) -> dict[str, tuple[int, int]]:
        """Return the kernel's limits that were raised for hubs, with the values before and after."""
        document = files.read_json(self.directory / "raised_limits.json")
        found = document.items() if isinstance(document, dict) else ()
        return {str(name): (int(each[0]), int(each[1])) for name, each in found if isinstance(each, list)}

    def save_raised_limits(self, limits: Mapping[str, tuple[int, int]]) -> None:
        """Save the raised limits; with none, nothing is left to put back."""
        if limits:
            files.replace(self.directory / "raised_limits.json", json.dumps(limits, sort_keys=True))
        else:
            (self.directory / "raised_limits.json").unlink(missing_ok=True)

    def links(self) -> dict[str, int]:
        """Return the link number of each hub."""
        document = files.read_json(self.directory / "links.json")
        if not isinstance(document, dict):
            return {}
        return {str(hub): number for hub, number in document.items() if isinstance(number, int)}

    def edit_links(self, edit: Callable[[dict[str, int]], object]) -> None:
        """Change the link numbers of hubs."""
        with host_lock(self.directory):
            links = self.links()
            before = dict(links)
            edit(links)
            if links != before:
                files.replace(self.directory / "links.json", json.dumps(links, sort_keys=True))

    def sources(self) -> dict[str, Any]:
        """Return by hub its source addresses and ports."""
        document = files.read_json(self.directory / "sources.json")
        return document if isinstance(document, dict) else {}

    def save_source(self, hub: str, source: dict[str, Any] | None) -> bool:
        """Save a hub's source addresses and ports, None removes them; return True if they differed."""
        if self.sources().get(hub) == source:
            return False
        with host_lock(self.directory):
            sources = self.sources()
            after = {name: each for name, each in sources.items() if name != hub} | ({hub: source} if source else {})
            if after != sources:
                files.replace(self.directory / "sources.json", json.dumps(after, sort_keys=True), durable=False)
        return True

    def servers(self) -> dict[str, ServerSide]:
        """Return by hub which addresses of the host and networks behind it its tunnels may reach."""
        document = files.read_json(self.directory / "servers.json")
        found = document.items() if isinstance(document, dict) else ()
        return {str(hub): parse_server(value, Faults()) for hub, value in found}

    def save_server(self, hub: str, server: ServerSide) -> bool:
        """Save which parts of the host and behind it a hub's tunnels may reach; return True if they differed."""
        if self.servers().get(hub) == server:
            return False
        with host_lock(self.directory):
            servers = self.servers()
            if servers.get(hub) != server:
                documents = {key: each.document() for key, each in (servers | {hub: server}).items()}
                files.replace(self.directory / "servers.json", json.dumps(documents, sort_keys=True))
        return True

    def close_hubs(self, hubs: Collection[str]) -> None:
        """Release what removed hubs have of the host: link numbers, sources, and ways to and behind it."""
        with host_lock(self.directory):
            self.edit_links(lambda links: [links.pop(hub, None) for hub in hubs])
            sources = {hub: each for hub, each in self.sources().items() if hub not in hubs}
            files.replace(self.directory / "sources.json", json.dumps(sources, sort_keys=True), durable=False)
            servers = self.servers() | dict.fromkeys(hubs, NO_SERVER)
            documents = {hub: each.document() for hub, each in servers.items()}
            files.replace(self.directory / "servers.json", json.dumps(documents, sort_keys=True))

    def forget_servers(self, hubs: Collection[str]) -> None:
        """Delete these entries of destroyed hubs."""
        with host_lock(self.directory):
            documents = {key: each.document() for key, each in self.servers().items() if key not in hubs}
            if (self.directory / "servers.json").exists():
                files.replace(self.directory / "servers.json", json.dumps(documents, sort_keys=True))

    def forwarded(self) -> dict[str, Any]:
        """Return by hub the documents of what this server forwards for hubs that run elsewhere now."""
        document = files.read_json(self.directory / "forwarded.json")
        return document if isinstance(document, dict) else {}

    def save_forwarded(self, hub: str, forwarded: dict[str, Any] | None) -> None:
        """Save what this server forwards for a hub; None for nothing."""
        with host_lock(self.directory):
            others = {name: each for name, each in self.forwarded().items() if name != hub}
            after = others | ({hub: forwarded} if forwarded else {})
            if after != self.forwarded():
                files.replace(self.directory / "forwarded.json", json.dumps(after, sort_keys=True))

    def tombstone(self, hub: str) -> Version | None:
        """Return the epoch and generation at which a hub was destroyed; None if it was not."""
        document = files.read_json(self.directory / "destroyed" / f"{parse_hub(hub)}.json")
        if not isinstance(document, dict):
            return None
        return int(document.get("epoch", 0)), int(document.get("generation", 0))

    def save_tombstone(self, hub: str, version: Version) -> None:
        """Leave a tombstone."""
        files.private_directory(self.directory / "destroyed")
        content = json.dumps({"epoch": version[0], "generation": version[1]})
        files.replace(self.directory / "destroyed" / f"{hub}.json", content)

    def remove_tombstone(self, hub: str) -> None:
        """Remove a tombstone: a spec of a newer epoch creates the hub again."""
        (self.directory / "destroyed" / f"{hub}.json").unlink(missing_ok=True)
