"""User ids for a hub's daemons: numbers that no account has, the same ones for as long as the hub is here.

users.json, in the state directory, says which hub has which. Two portals on one server have directories of their own:
their numbers are drawn from the names of hubs, which differ, so that they meet once in some 50 million.
"""

from __future__ import annotations

import grp
import hashlib
import json
import pwd
from pathlib import Path
from typing import Final

from vpn.agent.system import files, processes
from vpn.agent.system.lock import host_lock
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

PER_HUB: Final = 4
# Unassigned ranges: not for accounts, containers or services (systemd's UIDS-GIDS). The second range is for a
# container, whose user namespace has 65,536 ids as a rule.
_RANGES: Final = (range(1_900_000_000, 2_100_000_000, PER_HUB), range(60_580, 61_180, PER_HUB))
_MAPS: Final = ("/proc/self/uid_map", "/proc/self/gid_map")


def first(directory: Path, hub: str) -> int:
    """Return the first of a hub's `PER_HUB` user ids, which are its group ids, too, taking them where it has none yet.

    Returns 0 in a user namespace that has no others than root. Raises AgentError where none is free.
    """
    if known := _read(directory).get(hub):
        return known
    candidates = next((each for each in _RANGES if _is_mapped(each)), None)
    if candidates is None:
        return 0
    with host_lock(directory):
        users = _read(directory)
        if hub not in users:
            users[hub] = _free(candidates, hub, set(users.values()))
            _write(directory, users)
        return users[hub]


def known(directory: Path, hub: str) -> range:
    """Return all user ids of a hub; empty where it has none of its own."""
    user = _read(directory).get(hub, 0)
    return range(user, user + PER_HUB) if user else range(0)


def forget(directory: Path, hub: str) -> None:
    """Give the user ids of a hub that is gone back. No process may have one any more."""
    if hub in _read(directory):
        with host_lock(directory):
            _write(directory, {name: user for name, user in _read(directory).items() if name != hub})


def _free(candidates: range, hub: str, taken: set[int]) -> int:
    start = int.from_bytes(hashlib.sha256(hub.encode()).digest()[:8], "big")
    # Such as those of another portal on this server, which has few of them in a container.
    running = processes.users()
    for step in range(len(candidates)):
        user = candidates[(start + step) % len(candidates)]
        numbers = range(user, user + PER_HUB)
        if user not in taken and running.isdisjoint(numbers) and not any(map(_is_account, numbers)):
            return user
    message = "This server has no free user ids for the daemons of one more hub."
    raise AgentError(FAILED, message, codes.SERVER_NO_USER_IDS.of())


def _is_account(number: int) -> bool:
    for known in (pwd.getpwuid, grp.getgrgid):
        try:
            known(number)
        except KeyError:
            continue
        return True
    return False


def _is_mapped(candidates: range) -> bool:
    """Return whether the user namespace of this process has all of these ids (user_namespaces(7))."""
    return all(
        any(
            begin <= candidates.start and candidates.stop <= begin + count
            for begin, _, count in (map(int, line.split()) for line in Path(path).read_text().splitlines())
        )
        for path in _MAPS
    )


def _read(directory: Path) -> dict[str, int]:
    document = files.read_json(directory / "users.json")
    if not isinstance(document, dict):
        return {}
    return {str(hub): user for hub, user in document.items() if isinstance(user, int)}


def _write(directory: Path, users: dict[str, int]) -> None:
    files.replace(directory / "users.json", json.dumps(users, sort_keys=True))
