"""Who reaches the internet through another exit, and which sites may be chosen as one."""

from __future__ import annotations

from typing import Any, NamedTuple

from vpn.plan.snapshot import Snapshot


class ExitChange(NamedTuple):
    """A change of an exit: `who` is a user whose device leaves through another site, or a site that begins or ends.

    `site` is the one from now on; empty for the hub, and for a site that is an exit no more.
    """

    who: str
    site: str


def exits_changed(before: Snapshot, after: Snapshot) -> list[ExitChange]:
    """The changes of peers that exist on both sides, and of new and removed exits; each once."""
    found = []
    for pk in before.rows.keys() | after.rows.keys():
        sides = [_part(before, pk), _part(after, pk)]
        if sides[0] != sides[1]:
            row = after.rows.get(pk) or before.rows[pk]
            found.append(ExitChange(f"user:{row.member}" if row.is_device else f"site:{row.site}", sides[1]))
    return sorted(set(found))


def _part(side: Snapshot, pk: Any) -> str:
    row = side.rows.get(pk)
    if row is None:
        return ""
    chosen = row.exit_site if row.is_device else row.site if row.is_exit else None
    return "" if chosen is None else f"site:{chosen}"
