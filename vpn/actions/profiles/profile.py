"""Delivers profiles, to a page or by share token, once the hub has the peer."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.exceptions import NotPossible
from portal.models import Membership, Principal
from vpn.actions.change import hold_instance
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.profiles.custody import window_end
from vpn.actions.profiles.passphrase import passphrase_hash, prove_passphrase
from vpn.actions.profiles.refusals import (
    HubGoing,
    HubNotReady,
    KeyDestroyed,
    LinkNotFound,
    NotOffered,
    PeerNotAdmitted,
)
from vpn.choices import InstanceState
from vpn.constants import SHARE_TOKEN_TTL, SHARE_WINDOW
from vpn.models import DeliveredProfile, Instance, LinkKind, Peer, ProfileLink
from vpn.profiles.formats import files_beside
from vpn.profiles.known import known_digests
from vpn.profiles.marks import configured_digest, mark_of
from vpn.profiles.peer import NoAddress, NoFamily
from vpn.profiles.plain_file import Rendered, render_profile
from vpn.profiles.router import ProfileFile
from vpn.profiles.state import ProfileDigests

_JOINED = ("instance__region", "instance__server", "instance__public_name", "member__user", "site")


@dataclass(frozen=True)
class Wanted:
    """Which of a peer's files is requested.

    `format` is one of `vpn.profiles.formats`. Without it that is the plain profile, or if `own` is true the file that
    the device itself takes: for a router the file of its platform. `family` (4 or 6) chooses which of the hub's
    addresses the file contains.
    """

    format: str = ""
    own: bool = False
    family: int | None = None


@dataclass(frozen=True)
class Delivery:
    """A profile on its way to a device."""

    filename: str
    content: str = field(repr=False)
    content_type: str
    peer_id: UUID
    # When the portal destroys its copy of the private key; None if it has none.
    key_due_at: datetime | None = None


def deliver_profile(peer: Peer, wanted: Wanted = Wanted(), *, by: Principal) -> Delivery:
    """The peer's profile with its keys; stores what was delivered. `peer` may have been read a moment ago.

    Raises HubNotReady, PeerNotAdmitted for a peer that is disabled or expired, KeyDestroyed, HubGoing, or NotOffered.
    """
    try:
        if not _is_deliverable(peer):
            refuse_unready(peer.pk)
        with transaction.atomic():
            return hand_out(lock_peer(peer.pk, peer.instance_id), wanted, "delivered", by=by)
    except (Peer.DoesNotExist, Instance.DoesNotExist):
        raise NotPossible(_("This peer was deleted meanwhile.")) from None


def issue_link(peer: Peer, *, by: Principal, sender: Membership | None = None, passphrase: str = "") -> tuple[str, int]:
    """A new one-time token for the peer's profile, and its lifetime in seconds; older tokens end.

    `sender` is the principal whom the link's page names. Where the portal's private key is destroyed before, the
    token ends with it. Raises KeyDestroyed, or InvalidInput for a passphrase that is too short or too long.
    """
    hashed, token = passphrase_hash(passphrase), secrets.token_urlsafe(32)
    with transaction.atomic():
        locked = lock_peer(peer.pk, peer.instance_id)
        refuse_destroyed(locked)
        link = ProfileLink(peer=locked, digest=digest_of(token), made_by=sender, passphrase_hash=hashed)
        replace_link(link, SHARE_TOKEN_TTL, by=by)
    return token, SHARE_TOKEN_TTL


def replace_link(link: ProfileLink, seconds: int, *, by: Principal) -> None:
    """Save a new link, which ends the peer's older one. The caller holds the lock on the instance."""
    ProfileLink.objects.filter(peer=link.peer, kind=link.kind).delete()
    link.expires_at = timezone.now() + timedelta(seconds=seconds)
    link.save(force_insert=True)
    if link.kind == LinkKind.IMPORT:
        acted(by, "import offered", link.peer)
        return
    mailed = {"mailed_to": link.mailed_to} if link.mailed_to else {}
    acted(by, "shared", link.peer, details={"passphrase": bool(link.passphrase_hash), **mailed})


def renew_with_link(peer: Peer, *, by: Principal, sender: Membership) -> tuple[Peer, str, int]:
    """New keys and a token for their profile, as one act; see `rotate_keys` and `issue_link`."""
    with one_act(by, "keys rotated", peer) as act:
        fresh = act.on = rotate_keys(peer, by=by)
        act.details["shared"] = True
        return fresh, *issue_link(fresh, by=by, sender=sender)


def find_link(token: str, browser: str = "") -> ProfileLink | None:
    """The link with its peer, if it is unspent or was opened by the browser with this secret; else None."""
    rows = _links(token).filter(browser_digest__in=["", _browser_digest(browser, token)])
    found = rows.select_related("made_by__user", "peer__instance__organization", *(f"peer__{one}" for one in _JOINED))
    link = found.first()
    return link if link is not None and link.peer.is_admitted and link.peer.has_profile else None


def find_share_link(peer: Peer) -> ProfileLink | None:
    """The peer's share link, as long as it lasts."""
    return ProfileLink.objects.filter(peer=peer, kind=LinkKind.SHARE, expires_at__gt=timezone.now()).first()


def revoke_link(peer: Peer, *, by: Principal) -> None:
    """End the peer's share token, if there is one, and what it opened."""
    with transaction.atomic():
        ProfileLink.objects.filter(peer=peer).delete()
        acted(by, "share link revoked", peer)


def redeem_link(token: str, wanted: Wanted = Wanted(), *, by: Principal, passphrase: str = "") -> Delivery:
    """The profile of a share token, once.

    Raises LinkNotFound; or PassphraseWanted, HubNotReady or NotOffered, which leave the token unspent.
    """
    return _redeem(token, wanted, _spend, by, passphrase)


def open_link(token: str, browser: str, wanted: Wanted = Wanted(), *, by: Principal, passphrase: str = "") -> Delivery:
    """The profile of a share token, for one browser, which may open it again for SHARE_WINDOW seconds.

    `browser` is a secret that only this browser has. Raises LinkNotFound; or PassphraseWanted, HubNotReady or
    NotOffered, which leave the token unspent.
    """
    return _redeem(token, wanted, lambda token: _open(token, browser), by, passphrase, _browser_digest(browser, token))


def _redeem(
    token: str, wanted: Wanted, take: Callable[[str], int], by: Principal, passphrase: str, browser_digest: str = ""
) -> Delivery:
    link = _links(token).select_related("peer__instance", "peer__member__user", "peer__site").first()
    if link is None:
        raise LinkNotFound
    ids = link.peer_id, link.peer.instance_id
    prove_passphrase(link, passphrase, browser_digest, by=by)
    try:
        refuse_unready(ids[0])
        with transaction.atomic():
            locked = lock_peer(*ids)
            if not take(token):
                raise LinkNotFound
            return hand_out(locked, wanted, "delivered by link", by=by)
    except (Peer.DoesNotExist, PeerNotAdmitted, KeyDestroyed, HubGoing):
        raise LinkNotFound from None


def _spend(token: str) -> int:
    spent, _by_model = _links(token).filter(browser_digest="").delete()
    return spent


def _open(token: str, browser: str) -> int:
    until = timezone.now() + timedelta(seconds=SHARE_WINDOW)
    digest = _browser_digest(browser, token)
    opened = _links(token).filter(browser_digest="").update(browser_digest=digest, expires_at=until)
    return opened or _links(token).filter(browser_digest=digest).count()


def _browser_digest(browser: str, token: str) -> str:
    """The stored digest of a browser's secret; valid for this token only."""
    return digest_of(f"{browser}:{token}")


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _links(token: str) -> QuerySet[ProfileLink]:
    # The key is the digest of 256 random bits, so the timing of the lookup reveals nothing useful.
    return ProfileLink.objects.filter(digest=digest_of(token), kind=LinkKind.SHARE, expires_at__gt=timezone.now())


def is_on_hub(peer_id: UUID) -> bool:
    """Has the server confirmed the peer as it is? True also for a deleted peer, which needs no waiting."""
    peer = Peer.objects.select_related("instance").filter(pk=peer_id).first()
    return peer is None or peer.is_on_hub


def refuse_unready(peer_id: UUID) -> None:
    """Raise a refusal before the instance is locked, so that waiting clients hold up no change."""
    peer = Peer.objects.select_related(*_JOINED).get(pk=peer_id)
    _refuse_useless(peer)
    if not peer.is_on_hub:
        raise HubNotReady(peer)


def _is_deliverable(peer: Peer) -> bool:
    """Is the peer, as it was read, one whose profile works?"""
    return peer.is_on_hub and peer.is_admitted and peer.has_profile and peer.instance.state != InstanceState.DELETING


def _refuse_useless(peer: Peer) -> None:
    if not peer.is_admitted:
        raise PeerNotAdmitted
    refuse_destroyed(peer)
    if peer.instance.state == InstanceState.DELETING:
        raise HubGoing


def refuse_destroyed(peer: Peer) -> None:
    """Raise KeyDestroyed for a peer whose profile cannot be made any more."""
    if not peer.has_profile:
        raise KeyDestroyed


def lock_peer(peer_id: UUID, instance_id: UUID) -> Peer:
    """The peer with its instance locked, so that the delivered and the stored version are the same."""
    hold_instance(instance_id)
    return Peer.objects.select_related(*_JOINED).get(pk=peer_id)


def hand_out(peer: Peer, wanted: Wanted, did: str, *, by: Principal) -> Delivery:
    """The profile of a peer whose instance is locked; stores what was delivered. Raises as `deliver_profile`."""
    _refuse_useless(peer)
    if not peer.is_on_hub:
        raise HubNotReady(peer)
    try:
        # No change is going on: the instance is locked.
        profile = render_profile(peer, known_digests(peer.instance), wanted.family)
        chosen = _chosen(peer, profile, wanted)
    except NoAddress:
        raise HubNotReady(peer) from None
    except NoFamily as refusal:
        raise NotOffered("family", str(refusal)) from None
    due_at = window_end(peer, now := timezone.now())
    Peer.objects.filter(pk=peer.pk).update(
        delivered_digest=profile.digest, delivered_host=profile.host, delivered_at=now, key_due_at=due_at
    )
    _trace(peer, known_digests(peer.instance), now)
    acted(by, did, peer, details={"file": chosen.filename, "custody": peer.key_custody})
    return Delivery(chosen.filename, chosen.content, chosen.content_type, peer_id=peer.pk, key_due_at=due_at)


def _trace(peer: Peer, digests: ProfileDigests, now: datetime) -> None:
    """Note what was handed out, so that its file is recognised later."""
    row = DeliveredProfile(
        organization_id=peer.instance.organization_id,
        peer_id=peer.pk,
        member_id=peer.member_id,
        label=peer.label,
        mark=mark_of(peer),
        digest=configured_digest(peer, digests),
        delivered_at=now,
    )
    DeliveredProfile.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["organization", "mark", "digest"],
        update_fields=["peer_id", "member_id", "label", "delivered_at"],
    )


def _chosen(peer: Peer, plain: Rendered, wanted: Wanted) -> Rendered | ProfileFile:
    """The requested file. Raises NotOffered."""
    if not wanted.format and not wanted.own:
        return plain
    files = files_beside(peer, plain, wanted.family)
    if not wanted.format:
        return next(iter(files.values()))
    if wanted.format not in files:
        raise NotOffered(
            "format", _("This peer has no file of this format. There are: %(files)s.") % {"files": ", ".join(files)}
        )
    return files[wanted.format]
