"""The pool of an instance: chosen when it is created, widened later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from portal.exceptions import Conflict
from portal.models import Organization
from vpn.actions.refusal import InvalidSettings
from vpn.actions.sites.overlaps import first_within
from vpn.addressing.networks import Network, contains, overlaps
from vpn.addressing.pools import PoolExhausted, choose_pool
from vpn.addressing.reserved import IN_GUEST
from vpn.addressing.subnets import Claim
from vpn.constants import MIN_POOL_PREFIX
from vpn.models import Instance, Server
from vpn.models.trial import running_trial
from vpn.validators import parse_network, parse_pool


def free_pool(organization: Organization, prefix: int, server: Server | None) -> IPv4Network:
    """A pool that no instance of the organization has; raises Conflict where none is left.

    It starts a /16 of its own as long as one is free, so that it can be widened later.
    """
    base = IPv4Network(settings.POOL_BASE)
    taken = [instance.network_v4 for instance in _instances(organization)]
    taken += [network for network in _endpoints(server) if isinstance(network, IPv4Network)]
    # No device gets an address of a cloud's metadata or name service.
    taken += [network for network in IN_GUEST if isinstance(network, IPv4Network)]
    with contextlib.suppress(PoolExhausted):
        if base.prefixlen <= MIN_POOL_PREFIX:
            return next(choose_pool(base, MIN_POOL_PREFIX, taken).subnets(new_prefix=prefix))
    try:
        return choose_pool(base, prefix, taken)
    except PoolExhausted as error:
        raise Conflict(str(error), field="pool_prefix", code="pool-exhausted") from None


def checked_pool(organization: Organization, pool: IPv4Network, server: Server | None) -> IPv4Network:
    """The requested pool; raises Conflict where it overlaps another instance's pool or the hub's server."""
    _refuse_taken(organization, pool, server, except_instance=None)
    return pool


def cleaned_pool(locked: Instance, text: str) -> dict[str, Any]:
    """The columns of a wider pool that contains the present one.

    Every address stays: host numbers are still counted from the start of the first pool. Raises InvalidSettings, or
    Conflict naming the network that the pool overlaps.
    """
    try:
        pool = parse_pool(text)
    except ValidationError as error:
        raise InvalidSettings({"pool": error.messages}) from None
    present = locked.network_v4
    if pool == present:
        return {}
    if not contains(pool, present):
        wider = present.supernet()
        message = _(
            "%(pool)s does not contain the present pool, %(present)s. Choose a wider one that does, such as %(wider)s."
        ) % {"pool": pool, "present": present, "wider": wider}
        raise InvalidSettings({"pool": [message]})
    _refuse_taken(locked.organization, pool, locked.server, except_instance=locked)
    inside = first_within(locked, pool) or _pushed_within(locked, pool)
    if inside is not None:
        raise Conflict(
            _("%(pool)s contains %(network)s of %(owner)s.")
            % {"pool": pool, "network": inside.network, "owner": inside.owner},
            field="pool",
            code="pool-taken",
        )
    return {"pool_v4": str(pool), "pool_origin": str(locked.origin)}


def _refuse_taken(
    organization: Organization, pool: IPv4Network, server: Server | None, *, except_instance: Instance | None
) -> None:
    for other in _instances(organization):
        if other != except_instance and pool.overlaps(other.network_v4):
            message = _("%(pool)s overlaps %(pool_v4)s, the pool of %(other)s. Choose another range.") % {
                "pool": pool,
                "pool_v4": other.pool_v4,
                "other": other.name,
            }
            raise Conflict(message, field="pool", code="pool-taken")
    for endpoint in _endpoints(server):
        if overlaps(pool, endpoint):
            message = _("%(pool)s contains %(network_address)s, the hub's public address. Choose another range.") % {
                "pool": pool,
                "network_address": endpoint.network_address,
            }
            raise Conflict(message, field="pool", code="pool-taken")


def _instances(organization: Organization) -> Iterable[Instance]:
    return Instance.objects.filter(organization=organization).only("name", "pool_v4", "organization")


def _endpoints(server: Server | None) -> list[Network]:
    return list(server.endpoint_networks) if server is not None else []


def _pushed_within(instance: Instance, pool: Network) -> Claim | None:
    trial = running_trial(instance)
    former = trial.former["pushed_routes"] if trial is not None else []  # they may be back in a moment
    pushed = (parse_network(text) for text in (*instance.pushed_routes, *former))
    found = next((network for network in pushed if contains(pool, network)), None)
    return Claim(_("the pushed routes"), found) if found is not None else None
