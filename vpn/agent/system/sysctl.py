"""Kernel settings of a namespace: read together, written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping

from vpn.agent.system.command import Place


def ensure(place: Place, settings: Mapping[str, str]) -> bool:
    """Make `settings` hold in `place` and return whether some did not."""
    values = place.run(["sysctl", "-n", *settings]).split()
    wrong = {name: value for (name, value), now in zip(settings.items(), values, strict=True) if now != value}
    if wrong:
        write(place, wrong)
    return bool(wrong)


def raise_to(place: Place, name: str, least: int) -> bool:
    """Make a limit at least that high, and return whether it was lower. What is higher stays."""
    if int(place.run(["sysctl", "-n", name])) >= least:
        return False
    write(place, {name: str(least)})
    return True


def write(place: Place, settings: Mapping[str, str]) -> None:
    """Write `settings` in `place`, however they are."""
    place.run(["sysctl", "-q", "-w", *(f"{name}={value}" for name, value in settings.items())])
