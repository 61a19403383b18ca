"""Replace the host key that came with a cloud's user data by one that the server makes itself."""

from __future__ import annotations

import logging
import subprocess
from importlib.resources import files
from typing import Final

from vpn import failures
from vpn.drivers.base import SshAddress, Unreachable
from vpn.drivers.ssh.access import ssh_command
from vpn.drivers.ssh.faults import fault_of
from vpn.drivers.ssh.preparation import FIRST

logger = logging.getLogger(__name__)
_SECONDS: Final = 8.0
_KEY_TYPE: Final = "ssh-ed25519 "


def made_host_key(address: SshAddress) -> str:
    """Let the server make its next host key; return the type and base64 value. Raises Unreachable."""
    key = _answer(address, "make")
    if not key.startswith(_KEY_TYPE):
        raise Unreachable(failures.COMMAND_FAILED.of("ssh-keygen"), key[:200])
    return key


def use_host_key(address: SshAddress) -> None:
    """Let the server use the key that it made. Raises Unreachable."""
    _answer(address, "use")


def _answer(address: SshAddress, act: str) -> str:
    """The last line that the program on the server prints."""
    source = (files("vpn.drivers.ssh") / "rotate.py").read_text()
    program = f"{source}\n\nprint({act}())\n"
    with ssh_command(address, FIRST) as argv:
        try:
            done = subprocess.run(  # noqa: S603 - an argument list of our own
                argv, input=program, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(failures.SERVER_SILENT.of(address.place)) from error
    lines = done.stdout.split("\n")
    if done.returncode != 0 or len(lines) < 2:
        raise Unreachable(fault_of(address, done.stderr, done.returncode), done.stderr.strip()[-500:])
    return lines[-2].strip()
