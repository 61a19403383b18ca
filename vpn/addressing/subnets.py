"""Which subnets a site peer may advertise, beside the pool and the subnets of the other peers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

from django.utils.translation import gettext as _

from vpn.addressing.networks import Network, contains, is_broad, is_default_route
from vpn.addressing.reserved import is_public, reserved_reason
from vpn.wire.network_keys import Sorted, key_of
from vpn.wire.network_keys import network_of as network_of_key
from vpn.wire.reserved import BROAD_PREFIX

FaultCode: TypeAlias = Literal["duplicate", "broad_unconfirmed", "nested_unconfirmed", "reserved", "overlap"]


@dataclass(frozen=True)
class Claim:
    """A network that another peer of the instance advertises. `owner` is named in refusals: "the site Berlin"."""

    owner: str
    network: Network


@dataclass(frozen=True)
class Fault:
    """Why a subnet is refused: the subnet, a stable code, and a message that names the other owner."""

    network: Network
    code: FaultCode
    message: str


def subnet_faults(
    networks: Sequence[Network],
    *,
    pool_v4: IPv4Network,
    pool_v6: IPv6Network,
    others: Iterable[Claim],
    confirm_broad: bool,
    advertised: Collection[Network] = (),
) -> list[Fault]:
    """Every reason why a site peer may not advertise `networks`, in their order; empty if it may.

    `others` are the claims of the instance's other peers. `advertised` is what the peer advertises now, which was
    confirmed before. The more specific route wins: if an admin confirms it, networks of two peers may nest, and a
    network may contain the pool. Equal networks are a conflict, and so is a network inside the pool.
    """
    faults: list[Fault] = []
    seen: set[Network] = set()
    pools = [Claim(_("the instance's pool"), pool_v4), Claim(_("the instance's pool"), pool_v6)]
    claims = _Claims([*others, *pools])
    for network in networks:
        if network in seen:
            faults.append(
                Fault(
                    network, "duplicate", _("%(network)s is listed twice. Remove one of them.") % {"network": network}
                )
            )
            continue
        seen.add(network)
        confirmed = confirm_broad or network in advertised
        fault = _fault(network, confirmed) or _conflict(network, pools, claims)
        if fault is None and not confirmed:
            fault = _unconfirmed_nesting(network, claims)
        if fault is not None:
            faults.append(fault)
    return faults


class _Claims:
    """Claims sorted by address, so that one that nests with a network is found in log n steps."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self.by_network: dict[Network, Claim] = {}
        for claim in claims:
            self.by_network.setdefault(claim.network, claim)
        # Without broad routes: when one was confirmed, so was that it contains other networks.
        self._narrow = Sorted(key_of(network) for network in self.by_network if not is_broad(network))

    def nesting(self, network: Network) -> Claim | None:
        """The narrowest claim that contains a network, else the first one inside it."""
        key = self._narrow.around(network) or self._narrow.within(network)
        return self.by_network[network_of_key(key)] if key is not None else None


def _fault(network: Network, confirmed: bool) -> Fault | None:
    reason = reserved_reason(network)
    if reason is not None:
        return Fault(
            network,
            "reserved",
            _("%(network)s cannot be advertised, as %(reason)s.") % {"network": network, "reason": reason},
        )
    if is_broad(network) and not confirmed:
        return Fault(network, "broad_unconfirmed", _broad_message(network))
    return None


def _conflict(network: Network, pools: Iterable[Claim], claims: _Claims) -> Fault | None:
    """A conflict that no confirmation resolves: a network of another peer, or a part of the pool."""
    same = claims.by_network.get(network)
    if same is not None and same not in pools:
        return Fault(
            network,
            "overlap",
            _("%(network)s is advertised by %(owner)s already.") % {"network": network, "owner": same.owner},
        )
    for pool in pools:
        if contains(pool.network, network):
            message = _("%(network)s overlaps %(other)s of %(owner)s. Choose ranges that do not overlap.") % {
                "network": network,
                "other": pool.network,
                "owner": pool.owner,
            }
            return Fault(network, "overlap", message)
    return None


def _unconfirmed_nesting(network: Network, claims: _Claims) -> Fault | None:
    """A nesting that is allowed once an admin confirms it."""
    claim = None if is_broad(network) else claims.nesting(network)
    if claim is None:
        return None
    inside = contains(claim.network, network)
    message = (
        _(
            "%(network)s lies within %(other)s of %(owner)s and would take its traffic from there: the more specific "
            "route wins. Confirm that to add it."
        )
        if inside
        else _(
            "%(network)s contains %(other)s of %(owner)s, which keeps its traffic: the more specific route wins. "
            "Confirm that to add it."
        )
    )
    values = {"network": network, "other": claim.network, "owner": claim.owner}
    return Fault(network, "nested_unconfirmed", message % values)


def _broad_message(network: Network) -> str:
    if is_default_route(network):
        return _(
            "%(network)s is the default route: all traffic would go to this site. Confirm the broad route to add it."
        ) % {"network": network}
    limit = BROAD_PREFIX[network.version]
    return _("%(network)s is wider than /%(limit)s. Confirm the broad route to add it.") % {
        "network": network,
        "limit": limit,
    }


def subnet_warnings(networks: Iterable[Network]) -> list[str]:
    """Warnings for subnets that are allowed: public ranges. Broad routes have their own confirmation."""
    return [
        _("%(network)s is a public range: connected peers will reach these addresses through this site only.")
        % {"network": network}
        for network in networks
        if not is_broad(network) and is_public(network)
    ]
