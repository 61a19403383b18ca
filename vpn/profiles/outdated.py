"""Which delivered profiles of an instance are outdated: found once for each change, for all who look."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.core.cache import cache
from django.utils import timezone

from vpn.choices import ProfileState
from vpn.models import Instance
from vpn.models.querysets import PeerQuerySet
from vpn.profiles.state import profile_states

_KEPT_SECONDS: Final = 24 * 3600
# Machines of one portal have clocks that differ; what was fetched about then is looked at once more.
_SKEW: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Found:
    """The peers with an outdated profile, as of when they were looked for, and whether that was after the last change.

    `is_newest` is false while the answer for the instance's last change is still to be found.
    """

    ids: frozenset[UUID]
    at: datetime
    is_newest: bool


def delivered_of(instance: Instance) -> PeerQuerySet:
    """The peers whose profile was fetched. A disabled or expired peer needs no newer one."""
    return instance.peers.admitted().exclude(delivered_digest="").order_by()


def last_found(instance: Instance) -> Found | None:
    """What was found last, brought up to date with what was fetched since; None where nothing is known."""
    known = cache.get(_key(instance))
    if known is None:
        return None
    at = datetime.fromisoformat(known["at"])
    fetched = _states(instance, delivered_of(instance).filter(delivered_at__gte=at - _SKEW))
    ids = frozenset(map(UUID, known["ids"])).difference(fetched)
    return Found(ids | _outdated(fetched), at, known["of"] == _state_of(instance))


def find_outdated(instance: Instance) -> Found:
    """Compare each delivered profile with what it would be now, and keep the answer."""
    at = timezone.now()
    ids = _outdated(_states(instance, delivered_of(instance)))
    document = {"of": _state_of(instance), "at": at.isoformat(), "ids": [str(pk) for pk in ids]}
    cache.set(_key(instance), document, _KEPT_SECONDS)
    return Found(ids, at, is_newest=True)


def _states(instance: Instance, peers: PeerQuerySet) -> dict[UUID, ProfileState]:
    return profile_states(instance, peers.select_related("member__user", "site"))


def _outdated(states: dict[UUID, ProfileState]) -> frozenset[UUID]:
    return frozenset(pk for pk, state in states.items() if state == ProfileState.OUTDATED)


def _key(instance: Instance) -> str:
    return f"outdated:{instance.pk}"


def _state_of(instance: Instance) -> str:
    """What all profiles of the instance depend on, in one word."""
    servers = instance.server.addresses if instance.server is not None else ()
    return hashlib.sha256(repr((instance.desired_generation, servers, instance.full_hostname)).encode()).hexdigest()
