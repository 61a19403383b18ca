"""Whose profile a file is, and whether it is current: told by digests, so that the file stays where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from portal.audit.reading import shown_actor, words_of
from portal.models import JournalEntry, Membership
from portal.models.journal import first_id_at
from vpn.access import find_peer
from vpn.models import ChangePlan, DeliveredProfile, Peer
from vpn.presenters.profiles.outdated import remedy_of
from vpn.profiles.known import known_digests
from vpn.profiles.marks import configured_digest, digest_of, host_digests, mark_of

# Acts after which a peer has other keys.
_NEW_KEYS: Final = ("peer.keys_rotated", "peer.certificate_renewed", "peer.changed")
_MOST_ACTS: Final = 50
# Acts on an instance and its peers that may change what profiles configure.
_OUTDATING: Final = (
    *("instance.settings_changed", "instance.server_networks_changed", "instance.address_changed"),
    *("instance.switched", "instance.rebuild_begun", "peer.created", "peer.changed", "peer.deleted"),
    "peer.subnets_changed",
)


@dataclass(frozen=True)
class Digests:
    """What a browser tells of a file: of its key, of what it configures, and of the hub's host in it."""

    mark: str
    digest: str
    host: str


@dataclass(frozen=True)
class Change:
    """The change by which a profile became outdated, or ended. `what` and `who` are "" where they are not known."""

    at: datetime
    what: str
    on: str
    who: str


@dataclass(frozen=True)
class Answer:
    """What is known of a file. `state` is unknown, current, outdated or ended; `peer` is None for a deleted one."""

    state: str
    label: str = ""
    peer: Peer | None = None
    delivered_at: datetime | None = None
    change: Change | None = None
    remedy: str = ""


def find_profile(member: Membership, sent: Digests) -> Answer:
    """Whose the file is, as far as this member may know: plain members know their own profiles alone."""
    rows = DeliveredProfile.objects.filter(organization=member.organization_id, mark=sent.mark)
    if not member.sees_everything:
        rows = rows.filter(member_id=member.pk)
    found = rows.filter(digest=sent.digest).first() or rows.order_by("-delivered_at").first()
    if found is None:
        return Answer("unknown")
    peer = find_peer(member, found.peer_id)
    known = found.delivered_at if found.digest == sent.digest else None
    if peer is None:
        ended = _acts_on(found, ("peer.deleted",)).first()
        return Answer("ended", found.label, delivered_at=known, change=_change(member, ended))
    if mark_of(peer) != sent.mark:
        return _with_former_key(member, peer, found, known)
    if (replaced := _keys_replaced(peer, found.delivered_at)) is not None:
        return Answer("ended", peer.label, peer, known, _change(member, replaced), remedy_of(peer))
    if _is_current(peer, sent):
        return Answer("current", peer.label, peer, known or peer.delivered_at)
    change = _first_change(member, peer, found.delivered_at)
    return Answer("outdated", peer.label, peer, known, change, remedy_of(peer))


def _keys_replaced(peer: Peer, since: datetime) -> JournalEntry | None:
    """The act since then that replaced the keys of the peer's hub, because its server was compromised."""
    if peer.instance.keys_replaced_at is None or peer.instance.keys_replaced_at < since:
        return None
    lines = JournalEntry.objects.filter(
        organization_id=peer.instance.organization_id, instance_id=peer.instance_id, code="instance.keys_replaced"
    )
    return lines.filter(id__gte=first_id_at(since)).order_by("id").first()


def _is_current(peer: Peer, sent: Digests) -> bool:
    if configured_digest(peer, known_digests(peer.instance)) != sent.digest:
        return False
    return sent.host in host_digests(peer.instance)


def _with_former_key(member: Membership, peer: Peer, found: DeliveredProfile, known: datetime | None) -> Answer:
    acts = _acts_on(found, _NEW_KEYS)[:_MOST_ACTS]
    line = next((act for act in acts if act.code != "peer.changed" or "protocol" in act.changes), None)
    if line is None and (replaced := _keys_replaced(peer, found.delivered_at)) is not None:
        return Answer("ended", peer.label, peer, known, _change(member, replaced), remedy_of(peer))
    # A renewed certificate leaves the former one valid, and a change of protocol the former key, until it connects.
    works = digest_of(peer.former_public_key) == found.mark or (line and line.code == "peer.certificate_renewed")
    state = "outdated" if works else "ended"
    return Answer(state, peer.label, peer, known, _change(member, line), _("Fetch the new profile."))


def _acts_on(found: DeliveredProfile, codes: tuple[str, ...]) -> QuerySet[JournalEntry]:
    """The acts on the peer since this profile was handed out, oldest first."""
    lines = JournalEntry.objects.filter(organization_id=found.organization_id, object_id=str(found.peer_id))
    return lines.filter(code__in=codes, id__gte=first_id_at(found.delivered_at)).order_by("id")


def _first_change(member: Membership, peer: Peer, since: datetime) -> Change | None:
    """The first change since then that outdated the peer's profile: the one whose plan says so, if there is one."""
    lines = JournalEntry.objects.filter(organization_id=member.organization_id, instance_id=peer.instance_id)
    lines = lines.filter(code__in=_OUTDATING, id__gte=first_id_at(since)).order_by("id")
    plans = ChangePlan.objects.filter(instance=peer.instance_id, created_at__gte=since).order_by("generation")
    named = plans.annotate(ids=Cast("outdated", TextField())).filter(ids__contains=str(peer.pk))
    plan = named.values_list("generation", "created_at").first()
    if plan is None:
        return _change(member, lines.first())
    generation, at = plan
    line = lines.filter(generation=generation).first()
    return _change(member, line) if line is not None else Change(at, "", "", "")


def _change(member: Membership, line: JournalEntry | None) -> Change | None:
    """A line of the journal, for members without the names that only readers of the journal see."""
    if line is None:
        return None
    if not member.sees_everything:
        return Change(line.at, words_of(line.code), "", "")
    return Change(line.at, words_of(line.code), line.object_name, str(shown_actor(line)))
