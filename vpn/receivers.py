"""Changes of members and groups that affect tunnels: generations rise within the transaction of the change."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.dispatch import receiver
from django.utils.translation import gettext as _

from portal.exceptions import Conflict, NotPossible
from portal.models import Group, Membership, Principal, Receipt
from portal.signals import (
    group_changed,
    group_removing,
    instances_asked,
    mail_requested,
    membership_changed,
    membership_losses,
    membership_removing,
    membership_renamed,
)
from vpn import doorbell
from vpn.actions.firewall.rules import forget_end, instances_naming, lock_instances, managed_from, naming
from vpn.actions.peers.admission import reconsider_peers
from vpn.actions.peers.labels import rename_member
from vpn.actions.peers.peer import delete_peer
from vpn.actions.people.ending import ending
from vpn.desired.firewall import GroupChange
from vpn.models import Instance, Peer


@receiver(membership_changed)
def follow_membership(membership: Membership, by: Principal, receipt: Receipt | None = None, **kwargs: Any) -> None:
    """After a member was activated or deactivated, let the hubs admit or refuse their devices; end share links."""
    with ending(receipt, membership, by=by):
        reconsider_peers(Peer.objects.filter(member=membership), by=by)


@receiver(membership_renamed)
def follow_name(membership: Membership, former_slug: str, by: Principal, **kwargs: Any) -> None:
    """Rename the DNS names of a person's devices after the person was renamed."""
    rename_member(membership, former_slug, by=by)


@receiver(membership_losses)
def name_devices(membership: Membership, **kwargs: Any) -> list[str]:
    """The effects of removing a member, in sentences."""
    peers = Peer.objects.filter(member=membership).select_related("instance").order_by("instance__name", "device")
    losses = [
        _("%(device)s is shut out of %(instance)s; its profile ends.")
        % {"device": peer.device or _("A device"), "instance": peer.instance.name}
        for peer in peers
    ]
    rules = naming(f"user:{membership.pk}").values_list("instance__name", flat=True)
    return losses + [
        _("The firewall rules of %(instance)s that name them are removed.") % {"instance": name}
        for name in sorted(set(rules))
    ]


@receiver(membership_removing)
def remove_devices(membership: Membership, by: Principal, receipt: Receipt | None = None, **kwargs: Any) -> None:
    """Delete the devices of a member who leaves."""
    # All instances are locked at once and in order, so that no deadlock arises.
    lock_instances(membership.organization_id)
    with ending(receipt, membership, by=by):
        for peer in Peer.objects.filter(member=membership).select_related("instance"):
            try:
                delete_peer(peer, by=by)
            except NotPossible:
                peer.delete()  # Its instance is being deleted, together with the peer, or its server is lost.
    forget_end(membership.organization_id, f"user:{membership.pk}", by=by)


@receiver(instances_asked)
def name_instances(organization_id: UUID, **kwargs: Any) -> dict[UUID, str]:
    """The organization's instances, by name."""
    rows = Instance.objects.filter(organization=organization_id).order_by("name", "id")
    return dict(rows.values_list("pk", "name"))


@receiver(group_changed)
def follow_group(group: Group, membership_ids: set[UUID], by: Principal, **kwargs: Any) -> None:
    """Update the hubs whose rules name a group after its members changed."""
    lock_instances(group.organization_id)
    instances = instances_naming(f"group:{group.pk}")
    peers = Peer.objects.filter(instance__in=instances, member__in=membership_ids)
    reconsider_peers(peers, by=by, group_change=GroupChange(group.pk, membership_ids))


@receiver(group_removing)
def keep_named_group(group: Group, **kwargs: Any) -> None:
    """Refuse to delete a group that firewall rules name: without it they would match other packets."""
    lock_instances(group.organization_id)
    naming_it = Instance.objects.filter(pk__in=instances_naming(f"group:{group.pk}"))
    names = sorted(naming_it.values_list("name", flat=True))
    if names and managed_from(f"group:{group.pk}").exists():
        raise Conflict(
            _("%(group)s may manage routers of %(instances)s.") % {"instances": ", ".join(names), "group": group.name},
            code="group-in-use",
            next_step=_("Remove it from the management of routers, and the rules that name it, first."),
        )
    if names:
        raise Conflict(
            _("Firewall rules of %(instances)s name %(group)s.") % {"instances": ", ".join(names), "group": group.name},
            code="group-in-use",
            next_step=_("Remove these rules first."),
        )


@receiver(mail_requested)
def ring_for_mail(mail_id: UUID, organization_id: UUID | None, **kwargs: Any) -> None:
    """Enqueue a queued mail for the worker of the queue `mail`, after the commit."""
    transaction.on_commit(partial(doorbell.enqueue_queued_mail, mail_id, organization_id))
