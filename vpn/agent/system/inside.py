"""Ask the kernel in a network namespace without starting a program: in a thread that enters the namespace.

The namespace belongs to that thread, so the agent itself never leaves its own (setns(2), network_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from threading import Thread
from typing import Final, TypeVar

from vpn.agent.system import command
from vpn.agent.system.command import NAMESPACES, Netns

_Found = TypeVar("_Found")
_CLONE_NEWNET: Final = 0x40000000  # sched.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def call(netns: Netns, ask: Callable[[], _Found]) -> _Found:
    """Return what `ask` returns inside a namespace. Raises OSError, also if there is no such namespace."""
    command.refuse_forbidden("setns")
    if netns.name is None:
        return ask()
    found: list[_Found] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _enter(f"{NAMESPACES}/{netns.name}")
            found.append(ask())
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


def _enter(path: str) -> None:
    """Move this thread into the namespace at `path`. It must end there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
