"""Which delivered profiles of an instance are outdated: computed once per change and cached."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, Max
from django.utils.translation import gettext as _

from vpn.choices import KeyCustody, ProfileState
from vpn.models import Instance, Peer
from vpn.profiles.state import profile_states

_SECONDS = 3600


@dataclass(frozen=True)
class Outdated:
    """Peers with an outdated profile, and how many profiles were delivered; only peers that may connect count."""

    ids: frozenset[UUID]
    delivered: int


def outdated_of(instance: Instance) -> Outdated:
    """The instance's outdated profiles; one query if neither settings nor deliveries changed."""
    # A disabled or expired peer needs no newer profile.
    delivered = instance.peers.admitted().exclude(delivered_digest="").order_by()
    found = delivered.aggregate(count=Count("pk"), last=Max("delivered_at"))
    if not found["count"]:
        return Outdated(frozenset(), 0)
    key = _key(instance, found["count"], found["last"])
    ids = cache.get(key)
    if ids is None:
        rows = delivered.select_related("member__user", "site")
        states = profile_states(instance, rows)
        ids = [str(pk) for pk, state in states.items() if state == ProfileState.OUTDATED]
        cache.set(key, ids, _SECONDS)
    return Outdated(frozenset(map(UUID, ids)), found["count"])


def _key(instance: Instance, *seen: object) -> str:
    """The cache key: a digest of everything that the result depends on."""
    servers = instance.server.addresses if instance.server is not None else ()
    depends = repr((instance.desired_generation, servers, seen))
    return f"outdated:{instance.pk}:{hashlib.sha256(depends.encode()).hexdigest()}"


def remedy_of(peer: Peer) -> str:
    """What to do about an outdated profile."""
    if peer.key_custody == KeyCustody.DESTROYED:
        return _("Renew its keys, since the portal no longer has them, and fetch the new profile.")
    return _("Fetch it again and import it in place of the old one.")
