"""Kernel settings of a namespace: read together, written only if they differ (proc(5), /proc/sys)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from vpn.agent.system import command, inside
from vpn.agent.system.command import Netns, Result

_Found = TypeVar("_Found")
_SETTINGS: Final = Path("/proc/sys")


def ensure(netns: Netns, settings: Mapping[str, str]) -> bool:
    """Apply `settings` in a namespace; return True if some differed. Raises AgentError."""
    values = read(netns, settings)
    wrong = {name: value for name, value in settings.items() if values[name] != value}
    if wrong:
        write(netns, wrong)
    return bool(wrong)


def raise_to(netns: Netns, name: str, least: int) -> bool:
    """Raise a limit to at least `least`; return True if it was lower. A higher value stays."""
    if int(netns.run(["sysctl", "-n", name])) >= least:
        return False
    write_limit(netns, name, least)
    return True


def write_limit(netns: Netns, name: str, value: int) -> None:
    """Write a limit of the whole server. Raises AgentError."""
    netns.run(["sysctl", "-q", "-w", f"{name}={value}"])


def read(netns: Netns, names: Iterable[str]) -> dict[str, str]:
    """Return the values of settings in a namespace. Raises AgentError."""
    return _call(netns, lambda: {name: _path(name).read_text().strip() for name in names})


def write(netns: Netns, settings: Mapping[str, str]) -> None:
    """Write `settings` in a namespace without reading them first. Raises AgentError."""

    def write_each() -> None:
        for name, value in settings.items():
            _path(name).write_text(value)

    _call(netns, write_each)


def _path(name: str) -> Path:
    return _SETTINGS.joinpath(*name.split("."))


def _call(netns: Netns, act: Callable[[], _Found]) -> _Found:
    try:
        return inside.call(netns, act)
    except OSError as error:
        raise command.explain("sysctl", Result(1, "", f"{error.strerror}: {error.filename}")) from error
