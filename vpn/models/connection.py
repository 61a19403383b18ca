"""When a peer may connect, and when it is connected: the rules of `Peer` for its columns, however they were read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from portal.models import MembershipState
from vpn.constants import HANDSHAKE_TIMEOUT

_TIMEOUT: Final = timedelta(seconds=HANDSHAKE_TIMEOUT)


def ends_at(expires_at: datetime | None, unused_until: datetime | None) -> datetime | None:
    """When a peer ends: at its date, or after its days without use, whichever comes first. None for no end."""
    return min((end for end in (expires_at, unused_until) if end is not None), default=None)


def is_admitted(
    now: datetime, *, enabled: bool, ends_at: datetime | None, member_state: str | None, is_active: bool | None
) -> bool:
    """Should the hub admit a peer? `member_state` and `is_active` are its owner's, None for a site."""
    if not enabled or (ends_at is not None and ends_at <= now):
        return False
    return member_state is None or (member_state != MembershipState.DEACTIVATED and bool(is_active))


def has_tunnel(
    now: datetime, *, is_openvpn: bool, last_handshake: datetime | None, connected_from: datetime | None
) -> bool:
    """Is an admitted peer connected, as a recent observation found it?"""
    if is_openvpn:
        return connected_from is not None
    return last_handshake is not None and last_handshake > now - _TIMEOUT
