"""Tests by trial whether this machine can run hubs, and leaves nothing behind."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

_PROGRAMS = {"ip": "iproute2", "nsenter": "util-linux", "wg": "wireguard-tools", "nft": "nftables", "sysctl": "procps"}


def why_no_hubs() -> str | None:
    """Return None if hubs can be created, else a sentence with the cause and the remedy."""
    missing = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if missing:
        return f"Missing packages: {' '.join(missing)}. Install them: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "Only root can create network namespaces. Run `make up` as root."
    return _try_namespace()


def _try_namespace() -> str | None:
    name = f"portal-try-{secrets.token_hex(4)}"
    refused = _run("ip", "netns", "add", name)
    try:
        refused = refused or _run("ip", "-n", name, "link", "set", "lo", "up")
        return _refusal(refused) if refused else _try_wireguard(name)
    finally:
        _run("ip", "netns", "delete", name)


def _refusal(complaint: str) -> str:
    return (
        f"This machine refuses network namespaces ({complaint}). In a container, give it CAP_SYS_ADMIN and "
        "CAP_NET_ADMIN (docker run --privileged, or --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun)."
    )


def _try_wireguard(name: str) -> str | None:
    if not _run("ip", "-n", name, "link", "add", "wg-try", "type", "wireguard"):
        return None
    if not shutil.which("wireguard-go"):
        return "The kernel has no WireGuard. Install the package wireguard-go."
    try:
        os.close(os.open(Path("/dev/net/tun"), os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun cannot be opened ({error.strerror}). In a container, add --device /dev/net/tun."
    return None


def _run(*command: str) -> str:
    """Return the error of a command, or "" if it succeeded."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
