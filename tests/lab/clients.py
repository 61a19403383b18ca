"""Stock clients on the laboratory's nodes: wg-quick(8) and openvpn(8), as their users call them."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab import suites
from tests.lab.commands import Commands
from tests.lab.nodes import Node
from tests.lab.suites import INSIDE
from tests.lab.waiting import wait_until


@dataclass(frozen=True)
class OpenVPNClient:
    """An openvpn(8): the system's own, or one of another suite (see suites.py), and options that follow the profile."""

    root: Path | None = None
    options: tuple[str, ...] = ()

    def argv(self, profile: Path, *options: str) -> list[str]:
        """Return how it is called with a profile and options."""
        if self.root is None:
            return ["openvpn", "--config", str(profile), *options, *self.options]
        openvpn = ["openvpn", "--config", f"{INSIDE}/{profile.name}", *options, *self.options]
        return suites.inside(self.root, profile.parent, openvpn)


SYSTEMS_OWN: Final = OpenVPNClient()


@dataclass
class TunnelClients(Commands):
    """Brings profiles up and down. A part of `Lab`."""

    _openvpns: dict[tuple[str, str], subprocess.Popen[str]] = field(default_factory=dict, init=False)

    def wg_quick_up(self, node: Node, text: str, name: str = "wg0") -> str:
        """Bring a profile up with wg-quick(8) and return the name of its interface.

        Names need not be unique: every node keeps its interfaces to itself.
        """
        path = self.directory / node.name / f"{name}.conf"
        path.write_text(text)
        path.chmod(0o600)
        self.run(node, ["wg-quick", "up", str(path)])
        return name

    def wg_quick_down(self, node: Node, name: str = "wg0") -> None:
        """Take a profile down again."""
        self.run(node, ["wg-quick", "down", str(self.directory / node.name / f"{name}.conf")])

    def latest_handshake(self, node: Node, name: str = "wg0") -> int:
        """Return when a node's profile last shook hands with its hub (Unix time, 0 for never)."""
        fields = self.run(node, ["wg", "show", name, "latest-handshakes"]).stdout.split()
        return int(fields[1]) if len(fields) > 1 else 0

    def openvpn_up(
        self,
        node: Node,
        text: str,
        name: str = "tun0",
        seconds: float = 15.0,
        client: OpenVPNClient = SYSTEMS_OWN,
        transport: str = "",
    ) -> str:
        """Bring a profile up with openvpn(8), wait until it is connected, and return the name of its interface.

        With `transport` ("udp" or "tcp") it tries the profile's remotes of that kind alone.
        """
        forced = ("--proto-force", {"udp": "udp", "tcp": "tcp-client"}[transport]) if transport else ()
        self.openvpn_start(node, text, name, OpenVPNClient(client.root, (*client.options, *forced)))
        log = self.openvpn_log(node, name)
        wait_until(lambda: "Initialization Sequence Completed" in log.read_text(), seconds, f"{node.name}'s {name}")
        return name

    def openvpn_start(
        self, node: Node, text: str, name: str = "tun0", client: OpenVPNClient = SYSTEMS_OWN
    ) -> subprocess.Popen[str]:
        """Start openvpn(8) with a profile; its log is `openvpn_log`."""
        path = self.directory / node.name / f"{name}.ovpn"
        path.write_text(text)
        path.chmod(0o600)
        log = self.openvpn_log(node, name)
        log.write_text("")
        argv = client.argv(path, "--dev", name, "--dev-type", "tun", "--verb", "3")
        process = self.start(node, ["sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", str(log), *argv])
        self._openvpns[node.name, name] = process
        return process

    def openvpn_down(self, node: Node, name: str = "tun0", *, kill: bool = False) -> None:
        """End a profile's openvpn(8), as its user does, or without a word to its hub."""
        process = self._openvpns.pop((node.name, name))
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait(30)

    def openvpn_log(self, node: Node, name: str = "tun0") -> Path:
        """Return where a profile's openvpn(8) writes down what it does."""
        return self.directory / node.name / f"{name}.log"
