"""OpenSSH's argument list for a server.

The private key and the trusted host key are passed in anonymous files in memory, so neither lies on a disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from django.conf import settings

from vpn.drivers.base import SshAddress
from vpn.drivers.outside import Host

CONNECT_SECONDS: Final = 5
# A connection without an answer for INTERVAL * COUNT seconds ends.
_ALIVE_INTERVAL: Final = 3
_ALIVE_COUNT: Final = 3
_ALIAS: Final = "server"
# The signature algorithms for a trusted key, by its type; other types have one of their own name.
_ALGORITHMS: Final = {"ssh-rsa": "rsa-sha2-512,rsa-sha2-256"}


@contextmanager
def ssh_command(address: SshAddress, command: Sequence[str]) -> Iterator[list[str]]:
    """Return the argument list that runs `command` on the server as root; OpenSSH must end inside the `with` block.

    The remote shell splits `command`, which therefore has only words without special characters.
    """
    key = _memory_file("ssh-key", address.private_key)
    known = _memory_file("ssh-known-hosts", f"{_ALIAS} {address.host_key}\n")
    try:
        yield Host(settings.HUB_HOST_NETNS or "").argv(
            [
                *_options(address, key, known),
                "--",
                address.host,
                *(["sudo", "-n"] if address.needs_sudo else []),
                *command,
            ]
        )
    finally:
        os.close(key)
        os.close(known)


def _options(address: SshAddress, key: int, known: int) -> list[str]:
    kind = address.host_key.partition(" ")[0]
    options = {
        "BatchMode": "yes",
        "CheckHostIP": "no",
        "ConnectTimeout": CONNECT_SECONDS,
        "ForwardAgent": "no",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlgorithms": _ALGORITHMS.get(kind, kind),
        "HostKeyAlias": _ALIAS,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": f"/proc/{os.getpid()}/fd/{key}",
        "LogLevel": "ERROR",
        "PreferredAuthentications": "publickey",
        "ServerAliveCountMax": _ALIVE_COUNT,
        "ServerAliveInterval": _ALIVE_INTERVAL,
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": f"/proc/{os.getpid()}/fd/{known}",
    }
    argv = ["ssh", "-F", "none", "-T", "-p", str(address.port), "-l", address.user]
    return [*argv, *(f"-o{name}={value}" for name, value in options.items())]


def _memory_file(name: str, content: str) -> int:
    """Return the descriptor of a file in memory that only this user can read."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, content.encode())
    return descriptor
