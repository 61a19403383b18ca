"""Whether a hub's public name needs a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from vpn import failures
from vpn.models import Instance
from vpn.wire.finding import Code, parse_finding

# By then, servers and resolvers have the new records, which live for a minute.
_SPREADING: Final = timedelta(minutes=3)
_SPREADS: Final = frozenset({failures.NAME_UNRESOLVED, failures.NAME_ELSEWHERE, failures.NAME_NOT_EVERYWHERE})
# A name that resolves is well, even if its publisher does not answer for a while.
_PATIENCE: Final = timedelta(minutes=15)


def name_fails(instance: Instance, delivered: int) -> bool:
    """Does the name fail to lead to the hub, where it should? `delivered` is the number of profiles that point to it.

    Without a publisher the name is not expected to resolve before a profile points to it.
    """
    seen = instance.name_seen
    if seen is None or not seen.finding or seen.failing_since is None:
        return False
    found, lasts = parse_finding(seen.finding), timezone.now() - seen.failing_since
    code = Code(found.component, found.code)
    if instance.resolving_name:
        # A record that was made by hand may stay.
        return code != failures.NAME_TAKEN and lasts > _PATIENCE
    if settings.DNS_PUBLISHER is None and not delivered:
        return False
    return code not in _SPREADS or lasts > _SPREADING
