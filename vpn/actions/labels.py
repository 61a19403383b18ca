"""Labels of peers in the names that hubs answer; the caller holds the lock on the instance."""

from __future__ import annotations

from portal.exceptions import NotPossible
from portal.naming import LABEL_LENGTH, dns_label, free_label
from vpn.actions.change import changing
from vpn.choices import PeerType, RecordType
from vpn.models import DnsRecord, Instance, Peer
from vpn.models.querysets import PeerQuerySet


def wanted_label(peer: Peer) -> str:
    """The label that follows from the site's or the device's name, whoever else has it."""
    if peer.site is not None:
        return dns_label(peer.site.name, fallback="site")
    return dns_label(peer.device, fallback="device")


def give_label(peer: Peer, instance: Instance) -> None:
    """Set the label that the peer's own name is made of: free among its siblings and beside the hub's records."""
    peer.dns_label = free_label(wanted_label(peer), _labels_of_siblings(peer, instance) | _recorded(peer, instance))


def rename_peers(peers: PeerQuerySet, *, former_slug: str = "") -> None:
    """Let names follow when a site or a member was renamed, on every instance; the hubs hear of it.

    `former_slug` is the member's. Their devices keep their own labels, but where a record has the new name already.
    """
    for instance_id in list(peers.order_by().values_list("instance_id", flat=True).distinct()):
        try:
            with changing(instance_id, only_peers=True) as locked:
                for peer in peers.filter(instance=locked).select_related("member__user", "site"):
                    _rename(peer, locked, former_slug)
        except NotPossible:
            continue  # An instance that is going away answers no names.


def _rename(peer: Peer, instance: Instance, former_slug: str) -> None:
    peer.instance = instance
    before = f"{peer.dns_label}.{former_slug}.{instance.full_hostname}" if former_slug else peer.dns_name
    if not former_slug or not peer.dns_label or peer.dns_label in _recorded(peer, instance):
        give_label(peer, instance)
    peer.changed_generation = instance.desired_generation
    peer.save(update_fields=["dns_label", "changed_generation"])
    follow_name(peer, before)


def follow_name(peer: Peer, before: str) -> None:
    """Let the CNAMEs that lead to the name which the peer had `before` lead to the one that it has now."""
    if before and before != peer.dns_name:
        aliases = DnsRecord.objects.filter(instance=peer.instance, type=RecordType.CNAME, value=before)
        aliases.update(value=peer.dns_name)


def _labels_of_siblings(peer: Peer, instance: Instance) -> set[str]:
    others = instance.peers.exclude(pk=peer.pk)
    siblings = others.filter(type=PeerType.SITE) if peer.member is None else others.filter(member=peer.member)
    # A number at the end may have cost the longest label some of its last letters.
    alike = siblings.filter(dns_label__startswith=wanted_label(peer)[: LABEL_LENGTH // 2])
    return set(alike.values_list("dns_label", flat=True))


def _recorded(peer: Peer, instance: Instance) -> set[str]:
    """The labels that would give the peer the name of a record."""
    above = instance.full_hostname if peer.member is None else f"{peer.member.slug}.{instance.full_hostname}"
    names = DnsRecord.objects.filter(instance=instance, name__endswith=f".{above}").values_list("name", flat=True)
    return {name.removesuffix(f".{above}") for name in names}
