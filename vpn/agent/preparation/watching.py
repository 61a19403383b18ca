"""The service that runs `watch`: a unit of systemd, or a supervisor of our own where there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from vpn.agent.preparation.supervisor import ensure_supervisor
from vpn.agent.system import command, files
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

UNIT: Final = "vpn-hub-watch"
_UNITS: Final = Path("/etc/systemd/system")
_SYSTEMD: Final = Path("/run/systemd/system")


def ensure_watch(state: Path, program: Path) -> str:
    """Let `watch` run from `program`, now and after a restart of the server; return how it is run."""
    if not _SYSTEMD.is_dir():
        ensure_supervisor(state, program)
        return "supervisor"
    changed = files.ensure(_UNITS / f"{UNIT}.service", unit_text(state, program), mode=0o644)
    if changed:
        command.run(["systemctl", "daemon-reload"])
        command.run(["systemctl", "enable", UNIT])
    if changed or command.try_run(["systemctl", "is-active", "--quiet", UNIT]).code != 0:
        # KillMode=process: the hubs' daemons, which the watch may have started, go on.
        command.run(["systemctl", "restart", UNIT])
    if command.try_run(["systemctl", "is-active", "--quiet", UNIT]).code != 0:
        raise AgentError(FAILED, "The watch did not start.", codes.SERVER_WATCH_NOT_STARTED.of())
    return "systemd"


def unit_text(state: Path, program: Path) -> str:
    """Return the unit. It names the agent's version, so another version changes it."""
    return f"""[Unit]
Description=Keeps the hubs of the VPN portal running
After=network-online.target nftables.service
Wants=network-online.target

[Service]
ExecStart={sys.executable} -I {program} --state {state} watch
Restart=always
RestartSec=1
KillMode=process
UMask=0077

[Install]
WantedBy=multi-user.target
"""
