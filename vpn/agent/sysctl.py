"""Kernel settings of a namespace: read together, written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping

from vpn.agent.command import Place


def ensure(place: Place, settings: Mapping[str, str]) -> bool:
    """Make `settings` hold in `place` and return whether some did not."""
    values = place.run(["sysctl", "-n", *settings]).split()
    wrong = [f"{name}={value}" for (name, value), now in zip(settings.items(), values, strict=True) if now != value]
    if wrong:
        place.run(["sysctl", "-q", "-w", *wrong])
    return bool(wrong)
