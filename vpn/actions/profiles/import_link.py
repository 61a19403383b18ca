"""An address from which an app imports a profile: once, within minutes, made with the page that shows the profile.

No mail and no message ever has it, so no scanner and no preview fetches it: whoever has the address has the profile.
"""

from __future__ import annotations

import secrets

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from portal.models import Principal
from vpn.actions.profiles.profile import (
    Delivery,
    Wanted,
    digest_of,
    hand_out,
    lock_peer,
    refuse_unready,
    replace_link,
)
from vpn.actions.profiles.refusals import HubGoing, HubNotReady, KeyDestroyed, LinkNotFound, PeerNotAdmitted
from vpn.constants import IMPORT_TTL
from vpn.models import Instance, LinkKind, Peer, ProfileLink


@sensitive_variables("token")
def offer_import(peer: Peer, *, by: Principal) -> str | None:
    """A new token for the app, which ends the older one; None if the peer was deleted meanwhile."""
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            locked = lock_peer(peer.pk, peer.instance_id)
            link = ProfileLink(peer=locked, kind=LinkKind.IMPORT, digest=digest_of(token))
            replace_link(link, IMPORT_TTL, by=by)
    except (Peer.DoesNotExist, Instance.DoesNotExist):
        return None
    return token


def find_import(token: str) -> Peer | None:
    """The peer whose profile the token imports; None if it was used or has expired."""
    link = _rows(token).select_related("peer__member__user", "peer__site", "peer__instance").first()
    return None if link is None else link.peer


@sensitive_variables("token")
def redeem_import(token: str, *, by: Principal) -> Delivery:
    """The profile, once. Raises LinkNotFound; or HubNotReady, which leaves the token unspent."""
    peer = find_import(token)
    if peer is None:
        raise LinkNotFound
    try:
        refuse_unready(peer.pk)
        with transaction.atomic():
            locked = lock_peer(peer.pk, peer.instance_id)
            spent, _by_model = _rows(token).delete()
            if not spent:
                raise LinkNotFound
            return hand_out(locked, Wanted(), "imported", by=by)
    except HubNotReady:
        raise
    except (Peer.DoesNotExist, Instance.DoesNotExist, PeerNotAdmitted, KeyDestroyed, HubGoing):
        raise LinkNotFound from None


def _rows(token: str) -> QuerySet[ProfileLink]:
    return ProfileLink.objects.filter(digest=digest_of(token), kind=LinkKind.IMPORT, expires_at__gt=timezone.now())
