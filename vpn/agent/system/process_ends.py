"""Notice at once that processes have ended, by their file descriptors (pidfd_open(2))."""

from __future__ import annotations

import os
import resource
import select
from collections.abc import Collection
from contextlib import suppress


class ProcessEnds:
    """The processes of each hub that are being watched."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._hubs: dict[int, str] = {}
        self._descriptors: dict[str, dict[int, int]] = {}
        _allow_descriptors()

    def watch(self, hub: str, pids: Collection[int]) -> bool:
        """Watch these processes of a hub instead of those before; return False if one of them cannot be watched."""
        there = self._descriptors.setdefault(hub, {})
        for pid in there.keys() - set(pids):
            self._close(there.pop(pid))
        try:
            for pid in set(pids) - there.keys():
                there[pid] = os.pidfd_open(pid)
                self._hubs[there[pid]] = hub
                self._poll.register(there[pid], select.EPOLLIN)
        except OSError:
            return False  # it has ended already, or a limit is reached
        return True

    def hubs(self) -> set[str]:
        """Return the hubs whose processes are watched."""
        return set(self._descriptors)

    def forget(self, hub: str) -> None:
        """Watch none of the hub's processes any longer."""
        for descriptor in self._descriptors.pop(hub, {}).values():
            self._close(descriptor)

    def wait(self, seconds: float) -> set[str]:
        """Wait until a process ends, at most for `seconds`, and return the hubs whose processes ended.

        They are not watched any longer.
        """
        hubs = {self._hubs[descriptor] for descriptor, _ in self._poll.poll(seconds) if descriptor in self._hubs}
        for hub in hubs:
            self.forget(hub)
        return hubs

    def _close(self, descriptor: int) -> None:
        self._hubs.pop(descriptor, None)
        with suppress(OSError):
            self._poll.unregister(descriptor)
        os.close(descriptor)


def _allow_descriptors() -> None:
    """Allow as many descriptors as this process may have: each daemon needs one."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
