"""Loading nftables tables: in one transaction, and only when a table is not what it should be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from vpn.agent.system.command import Place, Result

PROGRAM: Final = "nft"
_TABLE: Final = re.compile(r"^table (\S+) (\S+) \{$", re.MULTILINE)


def ensure_table(place: Place, name: str, body: str, marks: dict[str, str]) -> bool:
    """Make `table inet NAME` in `place` be `body`, touching no other table, and return whether it was not.

    nft lists a table differently from how it was written, so `marks` keeps the digest of what was loaded beside the
    digest of how it was listed then.
    """
    listing = place.try_run([PROGRAM, "-s", "list", "table", "inet", name])
    if listing.code == 0 and marks.get(name) == mark(body, listing.out):
        return False
    # One transaction. Nothing is deleted that is not there: the kernel would wait for its packets all the same.
    there = "No such file" not in listing.err
    before = f"table inet {name}\ndelete table inet {name}\n" if there else ""
    run(place, f"{before}table inet {name} {{\n{body}}}\n")
    marks[name] = mark(body, place.run([PROGRAM, "-s", "list", "table", "inet", name]))
    return True


def run(place: Place, script: str) -> None:
    """Have `script` done in `place`, all of it in one transaction or nothing. Raises AgentError."""
    place.run([PROGRAM, "-f", "-"], script)


def is_as_loaded(place: Place, name: str, marks: Mapping[str, str]) -> bool:
    """Return whether `table inet NAME` in `place` is listed as it was when `ensure_table` had loaded it."""
    listing = place.try_run([PROGRAM, "-s", "list", "table", "inet", name])
    return listing.code == 0 and marks.get(name, "").partition(" ")[2] == _digest(listing.out)


def tables(place: Place) -> set[tuple[str, str]]:
    """Return the families and names of the tables in `place`."""
    # Not `list tables`: nft 1.0.6 fetches the elements of all sets for that, which strangers may fill.
    return set(_TABLE.findall(place.run([PROGRAM, "list", "chains"])))


def list_without_elements(place: Place, name: str) -> Result:
    """Return what `nft -s -t list table inet NAME` does, whatever its sets have.

    That one fetches all elements before it leaves them out (nft 1.0.6: 3.4 s of a processor for 200,000).
    """
    listing = place.try_run([PROGRAM, "-s", "-t", "list", "ruleset", "inet"])
    found = re.search(rf"^table inet {re.escape(name)} \{{\n.*?^\}}\n", listing.out, re.MULTILINE | re.DOTALL)
    if listing.code != 0 or found:
        return Result(listing.code, found[0] if found else "", listing.err)
    return Result(1, "", "No such file or directory")


def remove_tables(place: Place, unwanted: Collection[tuple[str, str]]) -> bool:
    """Take tables away, one by one, since one that its owner guards must not keep the others; were there any?"""
    for family, name in unwanted:
        place.try_run([PROGRAM, "delete", "table", family, name])
    return bool(unwanted)


def elements(networks: Iterable[object]) -> str:
    """Return networks as the elements of a set."""
    return ", ".join(map(str, networks))


def is_meant(name: str, body: str, marks: Mapping[str, str]) -> bool:
    """Return whether `body` is what was loaded last as the table `name`."""
    return marks.get(name, "").partition(" ")[0] == _digest(body)


def mark(body: str, listing: str) -> str:
    """Return the mark of a table that was loaded as `body` and is listed as `listing`."""
    return f"{_digest(body)} {_digest(listing)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
