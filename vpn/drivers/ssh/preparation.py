"""One look at a server that is being prepared: sends the agent, and reads a line for each step."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import time
from importlib.resources import files
from typing import Any, Final

from vpn import failures
from vpn.drivers.base import SshAddress
from vpn.drivers.ssh.access import ssh_command
from vpn.drivers.ssh.bundle import agent_bundle
from vpn.drivers.ssh.faults import fault_of
from vpn.wire import preparing
from vpn.wire.finding import Code
from vpn.wire.preparing import Line, parse_line
from vpn.wire.version import agent_version

logger = logging.getLogger(__name__)
STATE: Final = "/var/lib/vpn-hub"
PYTHON: Final = ("/usr/bin/python3", "-I")
FIRST: Final = (*PYTHON, "-")
_SECONDS: Final = 25.0  # of a job's 30
_FAULTS: Final[dict[str, Code]] = {
    "not-root": failures.NOT_ROOT,
    "python-old": failures.PYTHON_OLD,
    "disk-full": failures.SERVER_DISK_FULL,
    "not-written": failures.SERVER_NOT_WRITTEN,
}
# The step that failed if nothing was printed, by the fault.
_STEP_OF: Final[dict[str, str]] = {
    failures.NO_SUDO.name: preparing.RIGHTS,
    failures.PYTHON_MISSING.name: preparing.PYTHON,
    failures.SERVER_DISK_FULL.name: preparing.DISK,
}


def look(address: SshAddress, attempt: str) -> list[Line]:
    """Continue the preparation and return the lines of the steps; the last one failed, runs or is done."""
    began = time.time()
    with ssh_command(address, FIRST) as argv:
        try:
            done = subprocess.run(  # noqa: S603 - an argument list of our own
                argv, input=_program(attempt, began), capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return [Line(preparing.CONNECT, preparing.FAILED, finding=failures.SERVER_SILENT.of(address.place))]
    printed = done.stderr.decode(errors="replace")
    if printed.strip():
        logger.warning("Preparing %s: %s", address.place, printed.strip()[-2000:])
    lines = [line for text in done.stdout.decode(errors="replace").splitlines() if (line := _line(text))]
    if done.returncode == 0 or (lines and lines[-1].state != preparing.DONE):
        return [Line(preparing.CONNECT, preparing.DONE), *lines]
    return [*_up_to(lines), *_failed(address, lines, printed, done.returncode)]


def _up_to(lines: list[Line]) -> list[Line]:
    return [Line(preparing.CONNECT, preparing.DONE), *lines] if lines else []


def _failed(address: SshAddress, lines: list[Line], printed: str, status: int) -> list[Line]:
    """The line of the step at which the connection or the program ended."""
    finding = fault_of(address, printed, status)
    step = _STEP_OF.get(finding.code)
    if lines:
        following = preparing.STEPS.index(lines[-1].step) + 1
        return [Line(preparing.STEPS[following], preparing.FAILED, finding=finding)]
    before = [] if step is None else [Line(preparing.CONNECT, preparing.DONE)]
    if step in {preparing.PYTHON, preparing.DISK}:
        before.append(Line(preparing.RIGHTS, preparing.DONE))
    return [*before, Line(step or preparing.CONNECT, preparing.FAILED, finding=finding)]


def _program(attempt: str, now: float) -> bytes:
    """The program for the server's Python, with the agent in it."""
    source = (files("vpn.drivers.ssh") / "first.py").read_text()
    packed = base64.b64encode(agent_bundle()).decode()
    request = {"attempt": attempt, "now": now}
    return f"{source}\n\nsys.exit(main({STATE!r}, {agent_version()!r}, {packed!r}, {request!r}))\n".encode()


def _line(text: str) -> Line | None:
    """Return a printed line; None if it is not one of ours, such as a greeting of the account's shell."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        return None
    line = parse_line(document)
    if line is None or not document.get("fault"):
        return line
    code = _FAULTS.get(str(document["fault"]), failures.SERVER_NOT_WRITTEN)
    return Line(line.step, line.state, line.value, code.of())
