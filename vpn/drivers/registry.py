"""The driver of each server. It is kept, with its session, as long as the server's row does not change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID

from vpn import failures
from vpn.choices import Driver as DriverName
from vpn.drivers.base import Driver, ServerAddress, SshAddress, Unreachable
from vpn.drivers.local import LocalDriver
from vpn.drivers.ssh.driver import SshDriver

# Factories of drivers, by the driver's name in the region.
DRIVERS: dict[str, Callable[[ServerAddress], Driver]] = {
    DriverName.LOCAL: lambda _: LocalDriver(),
    DriverName.SSH: lambda server: SshDriver(_ssh_of(server)),
    # A cloud's server, once it is there, is one over SSH.
    DriverName.CLOUD: lambda server: SshDriver(_ssh_of(server)),
}

_opened: dict[UUID, tuple[ServerAddress, Driver]] = {}
_turn = threading.Lock()


def _ssh_of(server: ServerAddress) -> SshAddress:
    if server.ssh is None:
        raise Unreachable(failures.SERVER_NOT_PREPARED.of())
    return server.ssh


def driver_at(server: ServerAddress) -> Driver:
    """Return the driver of a server in this process. Raises Unreachable if this version has no driver of that name."""
    with _turn:
        known = _opened.get(server.id)
        if known is not None and known[0] == server:
            return known[1]
        make = DRIVERS.get(server.driver)
        if make is None:
            raise Unreachable(failures.UNKNOWN_DRIVER.of(server.driver))
        if known is not None:
            known[1].close()
        driver = make(server)
        _opened[server.id] = server, driver
        return driver


def with_sessions() -> dict[UUID, str]:
    """Return the servers to which this process has an open session, each with the version of the agent there."""
    with _turn:
        drivers = list(_opened.values())
    return {address.id: address.agent for address, driver in drivers if driver.is_open()}


def close_idle(seconds: float) -> None:
    """End what this process did not use for so long; the next request opens another."""
    with _turn:
        drivers = [driver for _, driver in _opened.values()]
    for driver in drivers:
        driver.close_idle(seconds)


def close_all() -> None:
    """End every session of this process; the next request opens another."""
    with _turn:
        for _, driver in _opened.values():
            driver.close()
        _opened.clear()
