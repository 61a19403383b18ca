"""The TXT record that marks a name's records as this portal's."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from vpn import failures
from vpn.publishers.base import NotPublished

# The label below which the owner of a name's records is noted.
_MARK: Final = "_vpn-portal"


def mark_name(name: str) -> str:
    """The name of the mark of a name."""
    return f"{_MARK}.{name}"


def mark_of(owner: UUID) -> str:
    """The text of an owner's mark."""
    return f"owner={owner}"


def check_inside(name: str, zone: str) -> None:
    """Refuse a name outside of the zone, such as one of an earlier VPN_DOMAIN. Raises NotPublished."""
    if not name.endswith(f".{zone}"):
        raise NotPublished(failures.NAME_ZONE_MISSING.of(name.partition(".")[2]))
