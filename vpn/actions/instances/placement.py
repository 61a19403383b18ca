"""Which server of a region carries an instance."""

from __future__ import annotations

from vpn.models import Region, Server


def server_in(region: Region) -> Server | None:
    """The server that takes the next instance of a region: the first one added. None where it has none yet."""
    return region.servers.order_by("created_at").first()
