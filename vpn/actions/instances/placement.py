"""Which server of a region carries an instance."""

from __future__ import annotations

from vpn.models import Region, Server


def server_in(region: Region) -> Server | None:
    """The server for a region's next instance: the first one added. None if the region has no server yet."""
    return region.servers.order_by("created_at").first()
