"""Load nftables tables: in one transaction, and only if a table differs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from vpn.agent.system.command import Netns, Result

PROGRAM: Final = "nft"
_TABLE: Final = re.compile(r"^table (\S+) (\S+) \{$", re.MULTILINE)


def ensure_table(netns: Netns, name: str, body: str, fingerprints: dict[str, str], is_new: bool = False) -> bool:
    """Make `table inet NAME` in a namespace match `body`, without touching other tables; return True if it changed.

    nft lists a table differently from its source, so `fingerprints` keeps the digest of the loaded text and of its
    first listing. `is_new`: the namespace has no table yet.
    """
    before = ""
    if not is_new:
        listing = netns.try_run([PROGRAM, "-s", "list", "table", "inet", name])
        if listing.code == 0 and fingerprints.get(name) == fingerprint(body, listing.out):
            return False
        # One transaction. `delete` only if the table exists, because it makes the kernel wait for packets in flight.
        there = "No such file" not in listing.err
        before = f"table inet {name}\ndelete table inet {name}\n" if there else ""
    run(netns, f"{before}table inet {name} {{\n{body}}}\n")
    fingerprints[name] = fingerprint(body, netns.run([PROGRAM, "-s", "list", "table", "inet", name]))
    return True


def run(netns: Netns, script: str) -> None:
    """Run `script` in a namespace as one transaction. Raises AgentError."""
    netns.run([PROGRAM, "-f", "-"], script)


def is_as_loaded(netns: Netns, name: str, fingerprints: Mapping[str, str]) -> bool:
    """Return True if the listing of `table inet NAME` is the same as after `ensure_table` loaded it."""
    listing = netns.try_run([PROGRAM, "-s", "list", "table", "inet", name])
    return listing.code == 0 and fingerprints.get(name, "").partition(" ")[2] == _digest(listing.out)


def tables(netns: Netns) -> set[tuple[str, str]]:
    """Return the families and names of the tables in a namespace."""
    # Not `list tables`: nft 1.0.6 fetches all set elements for it, and traffic can add many of those.
    return set(_TABLE.findall(netns.run([PROGRAM, "list", "chains"])))


def list_without_elements(netns: Netns, name: str) -> Result:
    """Return the output of `nft -s -t list table inet NAME`, without its cost for large sets.

    nft 1.0.6 fetches all elements before it omits them (3.4 s of CPU time for 200,000).
    """
    listing = netns.try_run([PROGRAM, "-s", "-t", "list", "ruleset", "inet"])
    found = re.search(rf"^table inet {re.escape(name)} \{{\n.*?^\}}\n", listing.out, re.MULTILINE | re.DOTALL)
    if listing.code != 0 or found:
        return Result(listing.code, found[0] if found else "", listing.err)
    return Result(1, "", "No such file or directory")


def remove_tables(netns: Netns, unwanted: Collection[tuple[str, str]]) -> bool:
    """Delete tables one by one, because one with an owner cannot be deleted; return True if there were any."""
    for family, name in unwanted:
        netns.try_run([PROGRAM, "delete", "table", family, name])
    return bool(unwanted)


def elements(networks: Iterable[object]) -> str:
    """Return networks as set elements."""
    return ", ".join(map(str, networks))


def is_meant(name: str, body: str, fingerprints: Mapping[str, str]) -> bool:
    """Return True if `body` is what was last loaded as the table `name`."""
    return fingerprints.get(name, "").partition(" ")[0] == _digest(body)


def fingerprint(body: str, listing: str) -> str:
    """Return the fingerprint of a table: the digests of its loaded `body` and of its `listing`."""
    return f"{_digest(body)} {_digest(listing)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
