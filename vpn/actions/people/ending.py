"""What else ends with a person's access: share links, open downloads and tunnels. They are added to the receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db.models import Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Cause, Membership, Principal, Receipt
from vpn.actions.firewall.rules import lock_instances
from vpn.choices import InstanceState
from vpn.models import EndedTunnel, Instance, LinkKind, Peer, ProfileLink
from vpn.models.connection import has_tunnel
from vpn.models.querysets import PeerQuerySet

_MOST_NAMES: Final = 200


@contextmanager
def ending(receipt: Receipt | None, member: Membership, *, by: Principal) -> Iterator[None]:
    """End a member's share links and open downloads; the block ends their tunnels, if they lose these.

    Without a receipt, nothing ends. Runs within the transaction of the act on the member.
    """
    if receipt is None:
        yield
        return
    # All instances are locked at once and in order, so that no deadlock arises.
    lock_instances(member.organization_id)
    _end_links(receipt, member)
    if receipt.cause == Cause.ROLE_CHANGED:
        receipt.save(update_fields=["links"])
        yield
        return
    _close_windows(receipt, member, by)
    receipt.save(update_fields=["links", "windows"])
    tunnels = _tunnels_of(member, receipt)
    yield
    _note_generations(tunnels)
    EndedTunnel.objects.bulk_create(tunnels)


def _end_links(receipt: Receipt, member: Membership) -> None:
    """End share links: those that they made for others, and, unless only the role changed, those of their devices."""
    theirs = Q(peer__member=member)
    made = Q(made_by=member)
    wanted = made & ~theirs if receipt.cause == Cause.ROLE_CHANGED else made | theirs
    found = ProfileLink.objects.filter(wanted, kind=LinkKind.SHARE, expires_at__gt=timezone.now())
    rows = found.select_related("peer__member__user", "peer__site").order_by("created_at", "pk")
    receipt.links = [link.peer.label for link in rows[:_MOST_NAMES]]
    ProfileLink.objects.filter(wanted).delete()


def _close_windows(receipt: Receipt, member: Membership, by: Principal) -> None:
    """Let the private keys that can still be fetched be destroyed now."""
    now = timezone.now()
    open_now = Peer.objects.filter(member=member, key_due_at__gt=now)
    receipt.windows = [peer.label for peer in open_now.select_related("member__user", "site")[:_MOST_NAMES]]
    if receipt.windows:
        open_now.update(key_due_at=now)
        acted(by, "windows closed", member)


def _tunnels_of(member: Membership, receipt: Receipt) -> list[EndedTunnel]:
    """The member's devices that a hub has or is about to get. Not saved yet."""
    now = timezone.now()
    lasts = Q(enabled=True) & (Q(expires_at=None) | Q(expires_at__gt=now))
    lasts &= Q(unused_until=None) | Q(unused_until__gt=now)
    found: PeerQuerySet = Peer.objects.filter(lasts | ~Q(applied_digest=""), member=member)
    rows = found.select_related("observation", "instance__observation", "instance__server")
    return [
        EndedTunnel(
            receipt=receipt,
            peer_id=peer.pk,
            device=peer.device,
            protocol=peer.protocol,
            instance_id=peer.instance_id,
            instance_name=peer.instance.name,
            server_id=peer.instance.server_id,
            server_name=peer.instance.server.name if peer.instance.server is not None else "",
            was_connected=_was_connected(peer),
            asked_at=now,
        )
        for peer in rows
    ]


def _was_connected(peer: Peer) -> bool:
    seen = peer.seen
    return peer.instance.seen.is_recent and has_tunnel(
        timezone.now(),
        is_openvpn=peer.is_openvpn,
        last_handshake=seen.last_handshake,
        connected_from=seen.connected_from,
    )


def _note_generations(tunnels: list[EndedTunnel]) -> None:
    """Which generation each hub has to confirm: a lost one gets its next one when it is found again or rebuilt."""
    ids = {tunnel.instance_id for tunnel in tunnels}
    rows = Instance.objects.filter(pk__in=ids).values_list("pk", "desired_generation", "state")
    wanted = {pk: generation + (state == InstanceState.LOST) for pk, generation, state in rows}
    for tunnel in tunnels:
        tunnel.generation = wanted.get(tunnel.instance_id, 0)
