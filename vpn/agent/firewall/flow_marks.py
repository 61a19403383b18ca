"""Conntrack marks of accepted flows: a number for the current rules, and the interfaces of the flow.

New rules get a new number. A flow with an older mark is evaluated again at its next packet.
"""

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
    """Return a random number, which no flow is likely to have yet."""
    return secrets.randbelow(2**24 - 2) + 1


def elements(names: Names, number: int) -> dict[str, frozenset[str]]:
    """Return the elements of `current` and `binding` for a number, as nft(8) lists them.

    `binding` maps the interfaces of a new flow to its mark. `current` lists from which interface packets with that
    mark may come, in each direction.
    """
    current, binding = [], []
    pairs = [(source, way) for source in names.tunnels for way in (*names.tunnels, names.uplink)]
    for index, (source, way) in enumerate(pairs):
        mark = f"0x{(number << 8) + index:08x}"
        binding.append(f'"{source}" . "{way}" : {mark}')
        current += [f'{mark} . original . "{source}"', f'{mark} . reply . "{way}"']
    return {CURRENT: frozenset(current), BINDING: frozenset(binding)}


def number_of(binding: Iterable[str]) -> int:
    """Return the number in the elements of `binding`, or 0 if it is empty."""
    return next((int(element.rpartition(" ")[2], 16) >> 8 for element in binding), 0)
