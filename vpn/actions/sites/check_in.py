"""A router's check-in: what it reports is noted, and it gets its configuration if that changed."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.database import lock_wait
from portal.models import Principal
from vpn.actions.profiles.profile import digest_of
from vpn.actions.sites.router import RouterNotFound, why_no_enrolment
from vpn.choices import KeyCustody
from vpn.models import Peer, Router
from vpn.profiles.known import known_digests
from vpn.routers.configuration import configuration_of, endpoint_of, fingerprint_of, token_alone, with_token

logger = logging.getLogger(__name__)
# A token is replaced after this time, so that none is used for 30 days.
TOKEN_LIFE: Final = timedelta(days=29)
MOST_ADDRESSES: Final = 20
# Why a router went back, by its own words; pages say them in the reader's language.
REASONS: Final = ("no-handshake", "not-applied")
# How long a check-in waits at most for a busy database where it has nothing new to say, in seconds.
_PATIENCE: Final = 0.5
_JOINED: Final = ("peer__instance__server", "peer__instance__public_name", "peer__site")


class RouterEnded(Exception):
    """The router was revoked or its peer deleted: it takes its tunnel down."""


@dataclass(frozen=True)
class CheckIn:
    """What a router says at its check-in. `refused` is the configuration from which it went back, and `why`."""

    applied: str = ""
    handshake_age: int | None = None
    addresses: list[str] = field(default_factory=list)
    refused: str = ""
    why: str = ""


def find_router(token: str) -> Router:
    """The router of a check-in token, one query. Raises RouterNotFound, or RouterEnded."""
    digest = digest_of(token)
    rows = Router.objects.filter(Q(digest=digest) | Q(next_digest=digest))
    found = rows.select_related(*_JOINED).first()
    if found is None:
        raise RouterNotFound
    if found.ended_at is not None or found.peer is None:
        raise RouterEnded
    return found


def check_in(router: Router, token: str, said: CheckIn, *, by: Principal) -> str:
    """Note what a router of `find_router` said; returns its new configuration, or "" if nothing changed.

    A configuration from which it went back is not offered again. One that the hub does not have yet waits. Raises
    RouterNotFound if the token ended meanwhile.
    """
    peer = router.peer
    if peer is None:
        raise RouterEnded
    wanted = "" if peer.is_openvpn else fingerprint_of(peer)
    noted = _noted(router, said)
    new_token = _renew_token(router, token, noted)
    is_news = any(getattr(router, name) != value for name, value in noted.items() if name not in _SMALL)
    _write(router, noted, is_news=is_news, by=by)
    if said.applied == wanted:
        _note_delivery(peer, by=by)
    is_wanted = wanted not in {said.applied, noted.get("refused", router.refused)}
    if is_wanted and _is_usable(peer):
        configuration = configuration_of(peer)
        return with_token(configuration, new_token) if new_token else configuration
    return token_alone(new_token) if new_token else ""


def _is_usable(peer: Peer) -> bool:
    """Would the hub answer the router with the peer's present configuration? Else the router would go back from it."""
    instance = peer.instance
    has_own_key = not why_no_enrolment(peer) and peer.key_custody == KeyCustody.DEVICE
    is_at_hub = peer.is_on_hub and instance.whole_generation <= instance.applied_generation
    return has_own_key and is_at_hub and peer.is_admitted and bool(endpoint_of(peer))


# What differs at each check-in.
_SMALL: Final = frozenset({"checked_in_at", "handshake_at"})


def _noted(router: Router, said: CheckIn) -> dict[str, Any]:
    """The columns that this check-in changes."""
    now = timezone.now()
    noted: dict[str, Any] = {
        "checked_in_at": now,
        "applied": said.applied,
        "addresses": said.addresses[:MOST_ADDRESSES],
        "handshake_at": _handshake_at(said, now),
    }
    if said.refused and (said.refused, said.why) != (router.refused, router.refused_why):
        noted |= {"refused": said.refused, "refused_why": said.why, "refused_at": now}
    return noted


def _handshake_at(said: CheckIn, now: datetime) -> datetime | None:
    return None if said.handshake_age is None else now - timedelta(seconds=said.handshake_age)


def _renew_token(router: Router, token: str, noted: dict[str, Any]) -> str:
    """Take over a new token that the router uses now; returns a new one if the present one is old, else ""."""
    now = timezone.now()
    if digest_of(token) == router.next_digest:
        noted |= {"digest": router.next_digest, "next_digest": None, "token_made_at": now}
        return ""
    if router.token_made_at is not None and now - router.token_made_at < TOKEN_LIFE:
        return ""
    new = secrets.token_urlsafe(32)
    noted["next_digest"] = digest_of(new)
    return new


def _write(router: Router, noted: dict[str, Any], *, is_news: bool, by: Principal) -> None:
    # Guarded by its token: another router may have enrolled meanwhile.
    rows = Router.objects.filter(pk=router.pk, ended_at=None, digest=router.digest)
    if not is_news:
        try:
            with lock_wait(_PATIENCE):
                rows.update(**noted)
        except DatabaseError as error:
            logger.warning("A check-in was not noted: %s", type(error).__name__)
        return
    with transaction.atomic():
        if not rows.update(**noted):
            raise RouterNotFound
        if "refused" in noted and router.peer is not None:
            acted(by, "router rolled back", router.peer, details={"reason": noted["refused_why"]})


def _note_delivery(peer: Peer, *, by: Principal) -> None:
    """The router confirmed the present configuration: its profile counts as delivered."""
    digests = known_digests(peer.instance)
    if digests.is_of(peer, peer.delivered_digest):
        return
    delivered = {"delivered_digest": digests.current(peer), "delivered_host": endpoint_of(peer)}
    with transaction.atomic():
        Peer.objects.filter(pk=peer.pk).update(delivered_at=timezone.now(), **delivered)
        acted(by, "configuration confirmed", peer)
