"""Servers that staff add, cordon and forget."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from portal.actions.acting import acted
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Principal
from vpn import doorbell
from vpn.actions.servers.input import checked_addresses, checked_name, parse_ssh, refuse_compromised
from vpn.choices import Driver, NodeState, ServerState
from vpn.keys import generate_ssh_key
from vpn.models import CloudNode, Region, Server, SshAccess


def add_server(
    region: Region,
    name: str,
    *,
    by: Principal,
    ssh: str,
    address: str,
    address_v6: str = "",
    capacity: int | None = None,
) -> Server:
    """Add a server that is reached over SSH, with a new key pair. Raises InvalidInput or Conflict."""
    place, addresses = parse_ssh(ssh), checked_addresses(address, address_v6)
    if region.driver != Driver.SSH:
        raise InvalidInput.in_field("region", f"The servers of {region.name} are not reached over SSH.")
    if capacity is not None and capacity < 1:
        raise InvalidInput.in_field("capacity", "Enter at least 1, or leave it empty: as many as there are ports for.")
    private, public = generate_ssh_key()
    with transaction.atomic():
        # Locked, so that no two get the same name or address.
        Region.objects.select_for_update(no_key=True).get(pk=region.pk)
        refuse_known(name, addresses)
        server = Server.objects.create(
            region=region,
            name=checked_name(name),
            address=addresses[0],
            address_v6=addresses[1],
            capacity=capacity,
            state=ServerState.NEW,
            state_since=timezone.now(),
        )
        access = SshAccess(server=server, user=place.user, host=place.host, port=place.port, public_key=public)
        access.private_key = private
        access.save(force_insert=True)
        acted(by, "added", server)
    return server


def refuse_known(name: str, addresses: tuple[str, str | None]) -> None:
    """Raise Conflict if another server has this name or one of these addresses."""
    if Server.objects.filter(name=name.strip()).exists():
        raise Conflict(f"There is a server {name} already.", field="name", next_step="Choose another name.")
    for address in filter(None, addresses):
        for field in ("address", "address_v6"):
            if other := Server.objects.filter(**{field: address}).first():
                raise Conflict(f"{address} is the address of the server {other.name}.", field="address")


def note_host_key(server: Server, host_key: str, *, by: Principal) -> None:
    """Record the host key that the server shows now. It is not trusted before staff confirm it."""
    if host_key and SshAccess.objects.filter(server=server).exclude(seen_host_key=host_key).update(
        seen_host_key=host_key
    ):
        acted(by, "host key seen", server)


def ask_host_key(server: Server, *, by: Principal) -> None:
    """Let a worker record the host key that the server shows now."""
    with transaction.atomic():
        acted(by, "host key asked", server)
        transaction.on_commit(partial(doorbell.enqueue_host_key, server.pk))


def confirm_host_key(server: Server, fingerprint: str, *, by: Principal) -> None:
    """Trust the host key that was seen, whose fingerprint staff compared. Raises NotPossible."""
    refuse_compromised(server)
    with transaction.atomic():
        access = SshAccess.objects.select_for_update(no_key=True).filter(server=server).first()
        if access is None:
            raise NotPossible(f"{server.name} is not reached over SSH.")
        if not access.seen_host_key:
            raise NotPossible(f"No host key of {server.name} was seen yet.", next_step="Does it answer at its address?")
        if fingerprint.strip() != access.seen_fingerprint:
            raise NotPossible(
                f"{server.name} showed the host key {access.seen_fingerprint}, not this one.",
                next_step="Compare it with the output of ssh-keygen -lf on the server's console.",
            )
        access.host_key = access.seen_host_key
        access.save(update_fields=["host_key"])
        acted(by, "host key confirmed", server)


def cordon_server(server: Server, *, by: Principal, cordoned: bool = True) -> None:
    """Let a server take no new hubs, or take them again. The hubs that it has stay."""
    with transaction.atomic():
        Server.objects.filter(pk=server.pk).update(cordoned=cordoned)
        acted(by, "cordoned" if cordoned else "uncordoned", server)


def forget_server(server: Server, *, by: Principal) -> None:
    """Delete a server's rows and keys. Raises NotPossible if it has instances, or is this machine."""
    with transaction.atomic():
        locked = Server.objects.select_for_update(no_key=True).select_related("region").get(pk=server.pk)
        if locked.region.driver == Driver.LOCAL:
            raise NotPossible("This machine stays.", next_step="To use it no more, make its region unavailable.")
        if node := CloudNode.objects.filter(server=locked).first():
            if node.state == NodeState.REMOVING:
                raise NotPossible(f"{locked.name} is a cloud's, and is being removed.", next_step=node.removal)
            raise NotPossible(
                f"{locked.name} is a cloud's, which the portal removes with its last instance.",
                next_step="Delete or move its instances.",
            )
        if count := locked.instances.count():
            raise NotPossible(
                f"{locked.name} carries {count} instance{'s' if count > 1 else ''}.",
                next_step="Delete them first.",
            )
        if count := locked.compromised_hubs.filter(finished_at=None).count():
            raise NotPossible(
                f"{count} of its hubs {'do' if count > 1 else 'does'} not run with new keys yet.",
                next_step="Its page shows what they wait for.",
            )
        if locked.moves.exists():
            raise NotPossible(f"An instance is being moved to {locked.name}.", next_step="Wait, or cancel the move.")
        if locked.state == ServerState.READY and (count := locked.retired_hubs.count()):
            raise NotPossible(
                f"{locked.name} still forwards the ports of {count} hub{'s' if count > 1 else ''} that left it.",
                next_step="End the forwarding on the Settings pages of these instances, then wait a moment.",
            )
        acted(by, "forgotten", locked)
        locked.delete()
