"""The agent's version: a digest of its code, the same for its files and for a zipapp of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # another module in Python 3.10
    from importlib.resources.abc import Traversable

_DIGITS: Final = 12
# The packages below `vpn` that the agent consists of.
_PARTS: Final = ("agent", "wire")


@cache
def agent_version() -> str:
    """Return 12 hexadecimal digits that identify the agent's code at the time of the first call."""
    digest = hashlib.sha256()
    for part in _PARTS:
        for path, source in sorted(_sources(files("vpn") / part, part)):
            digest.update(f"{path}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:_DIGITS]


def _sources(directory: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        name = f"{path}/{entry.name}"
        if entry.name == "__pycache__":
            continue  # Another account's compiled files; this one may not be allowed to list them.
        if entry.is_dir():
            yield from _sources(entry, name)
        elif name.endswith(".py"):
            yield name, entry.read_bytes()
