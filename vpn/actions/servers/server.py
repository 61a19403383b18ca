"""Servers that staff add, cordon and forget."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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
        raise InvalidInput.in_field(
            "region", _("The servers of %(region)s are not reached over SSH.") % {"region": region.name}
        )
    if capacity is not None and capacity < 1:
        raise InvalidInput.in_field(
            "capacity", _("Enter at least 1, or leave it empty: as many as there are ports for.")
        )
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
        raise Conflict(
            _("There is a server %(server)s already.") % {"server": name},
            field="name",
            next_step=_("Choose another name."),
        )
    for address in filter(None, addresses):
        for field in ("address", "address_v6"):
            if other := Server.objects.filter(**{field: address}).first():
                raise Conflict(
                    _("%(address)s is the address of the server %(server)s.")
                    % {"address": address, "server": other.name},
                    field="address",
                )


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
            raise NotPossible(_("%(server)s is not reached over SSH.") % {"server": server.name})
        if not access.seen_host_key:
            raise NotPossible(
                _("No host key of %(server)s was seen yet.") % {"server": server.name},
                next_step=_("Does it answer at its address?"),
            )
        if fingerprint.strip() != access.seen_fingerprint:
            raise NotPossible(
                _("%(server)s showed the host key %(fingerprint)s, not this one.")
                % {"server": server.name, "fingerprint": access.seen_fingerprint},
                next_step=_("Compare it with the output of ssh-keygen -lf on the server's console."),
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
            raise NotPossible(_("This machine stays."), next_step=_("To use it no more, make its region unavailable."))
        if node := CloudNode.objects.filter(server=locked).first():
            if node.state == NodeState.REMOVING:
                raise NotPossible(
                    _("%(server)s is a cloud's, and is being removed.") % {"server": locked.name},
                    next_step=node.removal,
                )
            raise NotPossible(
                _("%(server)s is a cloud's, which the portal removes with its last instance.")
                % {"server": locked.name},
                next_step=_("Delete or move its instances."),
            )
        if count := locked.instances.count():
            raise NotPossible(
                ngettext("%(server)s carries %(count)s instance.", "%(server)s carries %(count)s instances.", count)
                % {"server": locked.name, "count": count},
                next_step=_("Delete them first."),
            )
        if count := locked.compromised_hubs.filter(finished_at=None).count():
            raise NotPossible(
                ngettext(
                    "%(count)s of its hubs does not run with new keys yet.",
                    "%(count)s of its hubs do not run with new keys yet.",
                    count,
                )
                % {"count": count},
                next_step=_("Its page shows what they wait for."),
            )
        if locked.moves.exists():
            raise NotPossible(
                _("An instance is being moved to %(server)s.") % {"server": locked.name},
                next_step=_("Wait, or cancel the move."),
            )
        if locked.state == ServerState.READY and (count := locked.retired_hubs.count()):
            raise NotPossible(
                ngettext(
                    "%(server)s still forwards the ports of %(count)s hub that left it.",
                    "%(server)s still forwards the ports of %(count)s hubs that left it.",
                    count,
                )
                % {"server": locked.name, "count": count},
                next_step=_("End the forwarding on the Settings pages of these instances, then wait a moment."),
            )
        acted(by, "forgotten", locked)
        locked.delete()
