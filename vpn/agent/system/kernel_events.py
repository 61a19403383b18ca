"""Notice without asking that a namespace's addresses or nftables tables may have changed: the kernel announces both.

What traffic adds to sets is not announced (rtnetlink(7), netlink(7), linux/netfilter/nfnetlink.h).
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.system import inside
from vpn.agent.system.command import NAMESPACES, Netns

_NETLINK_ROUTE: Final = 0
_NETLINK_NETFILTER: Final = 12
_ADDRESSES: Final = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_TABLES: Final = 1 << 6  # NFNLGRP_NFTABLES, the seventh group


@dataclass
class KernelEvents:
    """The announcements of one namespace, from the first question on."""

    netns: Netns
    _sockets: list[socket.socket] = field(default_factory=list)
    _namespace: int = 0

    def may_have_changed(self) -> bool:
        """Return True if something changed since the last call, or may have. Raises OSError without the namespace."""
        there = os.stat(f"{NAMESPACES}/{self.netns.name}" if self.netns.name else "/proc/self/ns/net").st_ino
        if not self._sockets or there != self._namespace:
            self.close()
            self._sockets = inside.call(self.netns, _subscribe)
            self._namespace = there
            return True
        return True in list(map(_has_events, self._sockets))

    def close(self) -> None:
        """Take no more announcements."""
        for each in self._sockets:
            each.close()
        self._sockets = []


def _subscribe() -> list[socket.socket]:
    """Return a socket for each kind of announcement; it belongs to the namespace in which it was made."""
    found: list[socket.socket] = []
    try:
        for family, groups in ((_NETLINK_ROUTE, _ADDRESSES), (_NETLINK_NETFILTER, _TABLES)):
            found.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family))
            found[-1].bind((0, groups))
    except OSError:
        for each in found:
            each.close()
        raise
    return found


def _has_events(announcing: socket.socket) -> bool:
    """Take what was announced; return True if there was something, even if it did not fit into the buffer (ENOBUFS)."""
    has_events = False
    while True:
        try:
            announcing.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return has_events
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
        has_events = True
