"""Runs the steps of a preparation in order, and prints a line for each. Running it again repairs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from vpn.agent.preparation import checks, packages
from vpn.agent.preparation.watching import ensure_watch
from vpn.wire import codes, preparing
from vpn.wire.errors import AgentError
from vpn.wire.preparing import Line
from vpn.wire.version import agent_version

CURRENT: Final = "current.pyz"
# Sessions of workers that are still open load their code from the version that they began with.
_KEPT: Final = 5


def prepare(request: Mapping[str, Any], program: str) -> int:
    """Run the steps until one fails or needs another look; return an exit status.

    `request` has `attempt`, an id that changes with each preparation, and `ahead`, by how many seconds the server's
    clock is ahead of the portal's. `program` is the path of the agent's zipapp in its directory.
    """
    os.umask(0o077)
    path = Path(program)
    state = path.parent.parent
    steps: tuple[tuple[str, Callable[[], str | None]], ...] = (
        (preparing.SYSTEM, checks.system),
        (preparing.NAMESPACES, checks.namespaces),
        (preparing.CLOCK, lambda: checks.clock(float(request["ahead"]))),
        (preparing.DISK, lambda: checks.disk(state)),
        (preparing.PORTS, checks.ports),
        (preparing.PACKAGES, lambda: "" if packages.ensure(state, path, str(request["attempt"])) else None),
        (preparing.AGENT, agent_version),
        (preparing.WATCH, lambda: _switch(state, path)),
    )
    return 0 if all(_run(name, step) for name, step in steps) else 1


def _run(name: str, step: Callable[[], str | None]) -> bool:
    """Run one step and print its line; False if it failed, or returned None because it is not finished."""
    try:
        value = step()
    except AgentError as error:
        print(error, file=sys.stderr)
        line = Line(name, preparing.FAILED, finding=error.finding)
    except Exception as error:  # noqa: BLE001
        # The portal needs the name of the step, and the rest of the steps must not run.
        line = Line(name, preparing.FAILED, finding=codes.AGENT_FAULT.of(type(error).__name__))
    else:
        line = Line(name, preparing.RUNNING) if value is None else Line(name, preparing.DONE, value)
    print(json.dumps(line.document()), flush=True)
    return line.state == preparing.DONE


def _switch(state: Path, path: Path) -> str:
    """Let the watch run this version, then new sessions; return how the watch is run.

    A session of a newer version may write what a watch of an older one cannot read.
    """
    how = ensure_watch(state, path)
    _use(path)
    return how


def _use(path: Path) -> None:
    """Let new sessions use this version, and remove versions that none can use any more."""
    current = path.with_name(CURRENT)
    if not current.is_symlink() or os.readlink(current) != path.name:
        temporary = path.with_name(f".{CURRENT}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path.name)
        temporary.replace(current)
    os.utime(path)
    versions = sorted(path.parent.glob("[0-9a-f]*.pyz"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in versions[_KEPT:]:
        old.unlink(missing_ok=True)
