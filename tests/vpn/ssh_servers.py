"""Servers over SSH as they are after their preparation, for tests."""

from __future__ import annotations

from tests.factories import BY
from vpn.actions.servers.server import add_server, confirm_host_key, note_host_key
from vpn.choices import ServerState
from vpn.keys import generate_ssh_key
from vpn.models import Region, Server, SshAccess


def make_server(region: Region, name: str = "fra1", *, number: int = 7, state: str = ServerState.READY) -> Server:
    """A server as it is after its preparation."""
    server = add_server(region, name, by=BY, ssh=f"root@{name}.example.net", address=f"203.0.113.{number}")
    note_host_key(server, generate_ssh_key()[1], by=BY)
    confirm_host_key(server, server_access(server).seen_fingerprint, by=BY)
    Server.objects.filter(pk=server.pk).update(state=state)
    return Server.objects.select_related("region").get(pk=server.pk)


def server_access(server: Server) -> SshAccess:
    """How the portal reaches a server, as the row says now."""
    return SshAccess.objects.get(server=server)
