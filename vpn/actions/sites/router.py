"""Enrolling a site's router, ending it, and offering it again what it went back from."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.exceptions import InvalidInput, NotPossible
from portal.models import Principal
from vpn.actions.change import lock_changeable
from vpn.actions.peers.keys import end_router_key, take_router_key
from vpn.actions.peers.row import fresh_peer
from vpn.actions.profiles.profile import digest_of
from vpn.actions.profiles.refusals import HubNotReady, PeerNotAdmitted
from vpn.addressing.networks import is_broad
from vpn.addressing.reserved import reserved_reason
from vpn.choices import Platform
from vpn.models import Instance, Peer, Router
from vpn.routers.configuration import configuration_of, endpoint_of, with_token
from vpn.validators import parse_network

ENROLMENT_TTL: Final = timedelta(hours=24)
# More than any branch has; the rest is not kept.
MOST_REPORTED: Final = 50
_LONGEST: Final = 80
_JOINED: Final = ("peer__instance__server", "peer__instance__public_name", "peer__site")


class RouterNotFound(Exception):
    """There is no such token, or it was spent, or it has expired."""


@dataclass(frozen=True)
class RouterReport:
    """What a router says of itself when it enrols, as it sent it."""

    public_key: str
    model: str = ""
    version: str = ""
    identity: str = ""
    subnets: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Enrolled:
    """What an enrolled router gets: its first configuration, with its check-in token."""

    peer: Peer
    configuration: str = field(repr=False)


def why_no_enrolment(peer: Peer) -> str:
    """Why the router of this peer cannot enrol, in words; "" if it can."""
    if peer.site is None or peer.site.platform != Platform.LINUX:
        return _("Only Linux routers enrol by themselves.")
    if peer.is_openvpn:
        return _("A router that enrols uses WireGuard; this peer uses OpenVPN.")
    return ""


def offer_enrolment(peer: Peer, *, by: Principal) -> str:
    """A new single-use token with which the peer's router enrols within 24 hours; a former one ends.

    Raises NotPossible for a peer whose router cannot enrol, that may not connect, or that was deleted.
    """
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        fresh = fresh_peer(peer, lock_changeable(peer.instance_id))
        if reason := why_no_enrolment(fresh):
            raise NotPossible(reason)
        if not fresh.is_admitted:
            raise PeerNotAdmitted
        ends_at = timezone.now() + ENROLMENT_TTL
        offered = {"enrolment_digest": digest_of(token), "enrolment_ends_at": ends_at}
        Router.objects.update_or_create(peer=fresh, defaults=offered)
        acted(by, "enrolment offered", fresh)
    return token


def find_enrolment(token: str) -> Router:
    """The router that may enrol with this token. Raises RouterNotFound."""
    rows = Router.objects.filter(
        enrolment_digest=digest_of(token), enrolment_ends_at__gt=timezone.now(), peer__isnull=False
    )
    found = rows.select_related(*_JOINED).first()
    if found is None or found.peer is None or not found.peer.is_admitted or why_no_enrolment(found.peer):
        raise RouterNotFound
    return found


def enrol_router(token: str, report: RouterReport, *, by: Principal) -> Enrolled:
    """Spend the token: the hub gets the router's key, and the router a token of its own.

    Raises RouterNotFound; InvalidInput, Conflict or NotPossible leave the token unspent.
    """
    found = find_enrolment(token)
    if not endpoint_of(_peer_of(found)):
        raise HubNotReady(_peer_of(found))
    peer, subnets, own_token = _peer_of(found), checked_subnets(report.subnets), secrets.token_urlsafe(32)
    try:
        with transaction.atomic(), one_act(by, "router enrolled", peer) as act:
            lock_changeable(peer.instance_id)
            now = timezone.now()
            said = {name: _plain(getattr(report, name)) for name in ("model", "version", "identity")}
            spent = Router.objects.filter(pk=found.pk, enrolment_digest=digest_of(token)).update(
                enrolment_digest=None,
                enrolment_ends_at=None,
                digest=digest_of(own_token),
                next_digest=None,
                token_made_at=now,
                enrolled_at=now,
                ended_at=None,
                reported_subnets=subnets,
                checked_in_at=None,
                handshake_at=None,
                applied="",
                refused="",
                refused_at=None,
                **said,
            )
            if not spent:
                raise RouterNotFound
            act.on = take_router_key(peer, report.public_key, by=by)
            act.details.update({name: value for name, value in said.items() if value})
    except Instance.DoesNotExist:
        raise RouterNotFound from None
    fresh = _peer_of(Router.objects.select_related(*_JOINED).get(pk=found.pk))
    return Enrolled(fresh, with_token(configuration_of(fresh), own_token))


def end_router(peer: Peer, *, by: Principal) -> None:
    """End the router's tokens and its key: it takes its tunnel down at its next check-in. Raises NotPossible."""
    with transaction.atomic(), one_act(by, "router revoked", peer) as act:
        act.on = fresh_peer(peer, lock_changeable(peer.instance_id))
        rows = Router.objects.filter(peer=peer.pk)
        was_enrolled = rows.filter(enrolled_at__isnull=False, ended_at=None).exists()
        rows.update(enrolment_digest=None, enrolment_ends_at=None)
        if not was_enrolled:
            return
        rows.update(ended_at=timezone.now())
        if not act.on.is_openvpn:
            act.on = end_router_key(act.on, by=by)


def offer_again(peer: Peer, *, by: Principal) -> None:
    """Offer a router once more the configuration from which it went back."""
    with transaction.atomic():
        if Router.objects.filter(peer=peer.pk).exclude(refused="").update(refused="", refused_at=None, refused_why=""):
            acted(by, "router tried again", peer)


def checked_subnets(texts: list[str]) -> list[str]:
    """The reported networks that a site can advertise, at most MOST_REPORTED. Raises InvalidInput for what is none."""
    networks: dict[str, None] = {}
    for text in texts:
        try:
            network = parse_network(text)
        except ValidationError as error:
            raise InvalidInput({"subnets": error.messages}) from None
        if not is_broad(network) and reserved_reason(network) is None:
            networks[str(network)] = None
    return list(networks)[:MOST_REPORTED]


def _peer_of(router: Router) -> Peer:
    if router.peer is None:
        raise RouterNotFound
    return router.peer


def _plain(text: str) -> str:
    """A text of a router for pages: printable, on one line, and short."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:_LONGEST]
