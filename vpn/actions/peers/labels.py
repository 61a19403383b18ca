"""DNS labels of peers, from which their names are built; the caller holds the lock on the instance."""

from __future__ import annotations

from portal.actions.acting import acted
from portal.models import Membership, Principal
from portal.naming import LABEL_LENGTH, dns_label, free_label
from vpn.actions.change import Scope, changing, if_possible
from vpn.choices import PeerType, RecordType
from vpn.models import DnsRecord, Instance, Peer, Site


def wanted_label(peer: Peer) -> str:
    """The label made from the name of the site or device. Another peer may have the same."""
    if peer.site is not None:
        return dns_label(peer.site.name, fallback="site")
    return dns_label(peer.device, fallback="device")


def give_label(peer: Peer, instance: Instance) -> None:
    """Set the peer's label: unique among its siblings, and without conflict with the hub's records."""
    peer.dns_label = free_label(wanted_label(peer), _labels_of_siblings(peer, instance) | _recorded(peer, instance))


def rename_site(site: Site, *, by: Principal) -> None:
    """Rename the DNS names of a site's peers after the site was renamed, on every instance."""
    for peer in Peer.objects.filter(site=site).select_related("site"):
        with if_possible(changing(peer.instance_id, by=by, scope=Scope.PEERS)) as locked:
            if locked is not None:
                peer.instance, before = locked, f"{peer.dns_label}.{locked.full_hostname}"
                give_label(peer, locked)
                peer.changed_generation = locked.desired_generation
                peer.save(update_fields=["dns_label", "changed_generation"])
                follow_name(peer, before, by=by)


def rename_member(member: Membership, former_slug: str, *, by: Principal) -> None:
    """Rename the DNS names of a person's devices after the person was renamed, on every instance.

    The devices keep their own labels, unless a record has the new name already.
    """
    theirs = Peer.objects.filter(member=member).order_by("instance_id")
    for instance_id in list(theirs.values_list("instance", flat=True).distinct()):
        with if_possible(changing(instance_id, by=by, scope=Scope.PEERS)) as locked:
            if locked is not None:
                _follow_member(member, former_slug, locked)


def _follow_member(member: Membership, former_slug: str, instance: Instance) -> None:
    peers = instance.peers.filter(member=member)
    after = {label: label for label in peers.values_list("dns_label", flat=True)}
    taken = _recorded_below(f"{member.slug}.{instance.full_hostname}", instance)
    for peer in peers.filter(dns_label__in=taken).select_related("member__user", "site"):
        before = peer.dns_label
        give_label(peer, instance)
        peer.save(update_fields=["dns_label"])
        after[before] = peer.dns_label
    peers.update(changed_generation=instance.desired_generation)
    former = f".{former_slug}.{instance.full_hostname}"
    for alias in DnsRecord.objects.filter(instance=instance, type=RecordType.CNAME, value__endswith=former):
        label = alias.value.removesuffix(former)
        if label in after:
            alias.value = f"{after[label]}.{member.slug}.{instance.full_hostname}"
            alias.save(update_fields=["value"])


def follow_name(peer: Peer, before: str, *, by: Principal) -> None:
    """Point the CNAMEs that led to the peer's previous name, `before`, to its present one."""
    if before and before != peer.dns_name:
        aliases = DnsRecord.objects.filter(instance=peer.instance, type=RecordType.CNAME, value=before)
        if aliases.exists():
            aliases.update(value=peer.dns_name)
        acted(by, "renamed", peer)


def _labels_of_siblings(peer: Peer, instance: Instance) -> set[str]:
    others = instance.peers.exclude(pk=peer.pk)
    siblings = others.filter(type=PeerType.SITE) if peer.member is None else others.filter(member=peer.member)
    # Appending a number may have cut the last letters of the longest label.
    alike = siblings.filter(dns_label__startswith=wanted_label(peer)[: LABEL_LENGTH // 2])
    return set(alike.values_list("dns_label", flat=True))


def _recorded(peer: Peer, instance: Instance) -> set[str]:
    """The labels that would make the peer's name equal to a record's."""
    hub = instance.full_hostname
    return _recorded_below(hub if peer.member is None else f"{peer.member.slug}.{hub}", instance)


def _recorded_below(domain: str, instance: Instance) -> set[str]:
    names = DnsRecord.objects.filter(instance=instance, name__endswith=f".{domain}").values_list("name", flat=True)
    return {name.removesuffix(f".{domain}") for name in names}
