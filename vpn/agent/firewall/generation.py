"""Generations of the hub's rules: what marks a flow as judged by the present ones, and on which interfaces."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from vpn.agent.memory.names import Names

CURRENT: Final = "current"
BINDING: Final = "binding"

MAPS: Final = (
    f"\tset {CURRENT} {{\n\t\ttypeof ct mark . ct direction . iifname\n\t}}\n"
    f"\tmap {BINDING} {{\n\t\ttypeof iifname . oifname : meta mark\n\t}}\n"
)


def new_number() -> int:
    """Return a number that no flow carries yet."""
    return secrets.randbelow(2**24 - 2) + 1


def elements(names: Names, number: int) -> dict[str, frozenset[str]]:
    """Return the elements of `current` and `binding` in a generation, as nft(8) lists them.

    `binding` has the mark of a flow by the interfaces that it was opened through, `current` where packets with that
    mark may come from.
    """
    current, binding = [], []
    pairs = [(source, way) for source in names.tunnels for way in (*names.tunnels, names.uplink)]
    for index, (source, way) in enumerate(pairs):
        mark = f"0x{(number << 8) + index:08x}"
        binding.append(f'"{source}" . "{way}" : {mark}')
        current += [f'{mark} . original . "{source}"', f'{mark} . reply . "{way}"']
    return {CURRENT: frozenset(current), BINDING: frozenset(binding)}


def number_of(binding: Iterable[str]) -> int:
    """Return the number that the elements of `binding` are made of, 0 for none."""
    return next((int(element.rpartition(" ")[2], 16) >> 8 for element in binding), 0)
