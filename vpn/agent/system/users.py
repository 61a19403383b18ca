"""User ids for a hub's daemons: ids that no account has, fixed as long as the hub exists on this server.

users.json in the state directory contains them. Two portals on one server do not share that file, so ids are derived
from the hubs' names, which differ: a collision has a chance of one in 50 million.
"""

from __future__ import annotations

import grp
import hashlib
import json
import pwd
from collections.abc import Collection
from pathlib import Path
from typing import Final

from vpn.agent.system import files, processes
from vpn.agent.system.lock import host_lock
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

PER_HUB: Final = 4
# Ranges that are unassigned, neither for accounts nor containers nor services (systemd's UIDS-GIDS). The second one is
# for a container, whose user namespace usually has 65,536 ids.
_RANGES: Final = (range(1_900_000_000, 2_100_000_000, PER_HUB), range(60_580, 61_180, PER_HUB))
_MAPS: Final = ("/proc/self/uid_map", "/proc/self/gid_map")


def first(directory: Path, hub: str) -> int:
    """Return the first of a hub's `PER_HUB` user ids, assigning them if it has none. Its group ids are the same.

    Returns 0 in a user namespace with root only. Raises AgentError if none are free.
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
    """Return all user ids of a hub; empty if it has none."""
    user = _read(directory).get(hub, 0)
    return range(user, user + PER_HUB) if user else range(0)


def forget(directory: Path, hubs: Collection[str]) -> None:
    """Release the user ids of removed hubs. No process may still have one."""
    if not _read(directory).keys().isdisjoint(hubs):
        with host_lock(directory):
            _write(directory, {name: user for name, user in _read(directory).items() if name not in hubs})


def _free(candidates: range, hub: str, taken: set[int]) -> int:
    start = int.from_bytes(hashlib.sha256(hub.encode()).digest()[:8], "big")
    # Also skip ids of running processes, which may belong to another portal on this server.
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
    """Return True if the user namespace of this process has all of these ids (user_namespaces(7))."""
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
