"""The digests of profiles, kept in this process from one request to the next while their instance does not change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Final
from uuid import UUID

from vpn.models import Instance
from vpn.profiles.state import ProfileDigests
from vpn.profiles.tunnel_routes import SiteSubnets, site_subnets_of_all

# About a kilobyte each. Those of the instance that was not read for the longest time go first.
_MOST_SITES: Final = 4096
_MOST_INSTANCES: Final = 64
_kept: OrderedDict[UUID, tuple[tuple[object, ...], int, ProfileDigests]] = OrderedDict()
_lock = Lock()


def known_digests(instance: Instance) -> ProfileDigests:
    """The digests of an instance's profiles; a query if its generation is not the last one that was read here.

    For reads alone: within a change the generation is not final, and a preview takes it back.
    """
    return known_digests_of_all([instance])[instance.pk]


def known_digests_of_all(instances: Iterable[Instance]) -> dict[UUID, ProfileDigests]:
    """`known_digests` by instance; one query, or none if all are known."""
    wanted = {instance.pk: instance for instance in instances}
    found = {pk: digests for pk, instance in wanted.items() if (digests := _find(instance)) is not None}
    missing = [pk for pk in wanted if pk not in found]
    if missing:
        for pk, sites in site_subnets_of_all(missing).items():
            found[pk] = _keep(wanted[pk], sites)
    return found


def _find(instance: Instance) -> ProfileDigests | None:
    with _lock:
        kept = _kept.get(instance.pk)
        if kept is None or kept[0] != _state_of(instance):
            return None
        _kept.move_to_end(instance.pk)
        return kept[2]


def _keep(instance: Instance, sites: SiteSubnets) -> ProfileDigests:
    digests = ProfileDigests(instance, sites)
    with _lock:
        _kept[instance.pk] = _state_of(instance), len(sites), digests
        _kept.move_to_end(instance.pk)
        while len(_kept) > _MOST_INSTANCES or (len(_kept) > 1 and sum(one[1] for one in _kept.values()) > _MOST_SITES):
            _kept.popitem(last=False)
    return digests


def _state_of(instance: Instance) -> tuple[object, ...]:
    """What changes with each change of its sites' networks, and the columns from which profiles are made."""
    server = instance.server
    addresses = tuple(server.addresses) if server is not None else ()
    lists = (*instance.pushed_routes, None, *instance.domains)
    pools = instance.pool_v4, instance.pool_v6, instance.pool_origin
    listens = instance.public_key, instance.port_base, instance.mtu, instance.hostname
    return instance.epoch, instance.desired_generation, addresses, lists, pools, listens
