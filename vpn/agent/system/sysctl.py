"""Kernel settings of a namespace: read together, written only if they differ."""

from __future__ import annotations

from collections.abc import Mapping

from vpn.agent.system.command import Netns


def ensure(netns: Netns, settings: Mapping[str, str]) -> bool:
    """Apply `settings` in a namespace; return True if some differed."""
    values = netns.run(["sysctl", "-n", *settings]).split()
    wrong = {name: value for (name, value), now in zip(settings.items(), values, strict=True) if now != value}
    if wrong:
        write(netns, wrong)
    return bool(wrong)


def raise_to(netns: Netns, name: str, least: int) -> bool:
    """Raise a limit to at least `least`; return True if it was lower. A higher value stays."""
    if int(netns.run(["sysctl", "-n", name])) >= least:
        return False
    write(netns, {name: str(least)})
    return True


def write(netns: Netns, settings: Mapping[str, str]) -> None:
    """Write `settings` in a namespace without reading them first."""
    netns.run(["sysctl", "-q", "-w", *(f"{name}={value}" for name, value in settings.items())])
