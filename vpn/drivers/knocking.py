"""Where knocks come from, and what it means which of them are answered.

First from outside of the host, where its addresses are the hub's. What fails there and answers on the host itself is
held up by a firewall on the host. A hub whose address is not the host's stands behind a router: the host knocks through
that router, which leads back or does not; then the hub itself is proven through an address that the host has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from vpn.choices import Listener, ProofCause, Reachability
from vpn.drivers.base import Found, Knock
from vpn.drivers.outside import NoPlace, Posts

_PROVEN = Found(Reachability.PROVEN)


@dataclass
class _Door:
    """One listener on its way to an answer. `local` is an address of the host where the hub can be proven instead."""

    number: int
    listener: str
    knock: Knock
    address: str
    is_local: bool
    local: str
    reasons: list[str] = field(default_factory=list)

    def at(self, address: str) -> dict[str, Any]:
        """As `vpn.drivers.doors` takes it."""
        knock = self.knock
        if self.listener == Listener.WIREGUARD:
            return {"wireguard": {**knock.wireguard(), "endpoint_host": address}}
        is_compat = self.listener == Listener.OPENVPN_COMPAT
        return {
            "openvpn": {
                "transport": "udp" if self.listener == Listener.OPENVPN_UDP else "tcp",
                "host": address,
                "port": knock.compat_port if is_compat else knock.openvpn_port,
                "client_key": "" if is_compat else knock.client_key,
            }
        }


def knock_on(posts: Posts, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
    """For each knock what was found, by listener. At most four rounds of `timeout` seconds.

    Raises NoPlace where not even the host itself can be knocked from.
    """
    own = posts.host.addresses()
    todo = [door for number, knock in enumerate(knocks) for door in _doors(number, knock, own)]
    found: list[dict[str, Found]] = [{} for _ in knocks]
    behind = [door for door in todo if not door.is_local]
    lost = _round(posts, behind, timeout, found, _PROVEN, through=True) if behind else []
    here = [door for door in todo if door.is_local]
    try:
        dark = _round_outside(posts, here, timeout, found, _PROVEN)
        dark += _round_outside(posts, lost, timeout, found, Found(Reachability.UNPROVEN, ProofCause.NAT))
        cause = Found(Reachability.UNREACHABLE, ProofCause.FIREWALL)
    except NoPlace:
        dark = [door for door in (*here, *lost) if door.listener not in found[door.number]]
        cause = Found(Reachability.UNPROVEN, ProofCause.NO_RIGHT)
    for door in _round(posts, dark, timeout, found, cause, through=False) if dark else ():
        found[door.number][door.listener] = Found(Reachability.UNREACHABLE, ProofCause.SILENT, door.reasons[-1])
    return found


def _doors(number: int, knock: Knock, own: dict[str, str]) -> list[_Door]:
    version = ip_address(knock.address).version
    locals_ = [address for address in own if ip_address(address).version == version]
    local = knock.address if knock.address in own else next(iter(locals_), "127.0.0.1" if version == 4 else "::1")
    listeners = [Listener.WIREGUARD]
    if knock.openvpn_port is not None:
        listeners += [Listener.OPENVPN_UDP, Listener.OPENVPN_TCP]
    if knock.compat_port is not None:
        listeners.append(Listener.OPENVPN_COMPAT)
    return [
        _Door(number, listener, knock, knock.address, is_local=knock.address in own, local=local)
        for listener in listeners
    ]


def _round(
    posts: Posts, doors: list[_Door], timeout: float, found: list[dict[str, Found]], meaning: Found, *, through: bool
) -> list[_Door]:
    """Knock from the host itself, `through` the hub's address or at the host's own; returns what did not answer.

    Raises NoPlace where nothing can be known.
    """
    answers = posts.inside.ask([door.at(door.address if through else door.local) for door in doors], timeout)
    return _sorted(doors, answers, found, meaning)


def _round_outside(
    posts: Posts, doors: list[_Door], timeout: float, found: list[dict[str, Found]], meaning: Found
) -> list[_Door]:
    """Knock from outside of the host, at its own addresses; returns what did not answer. Raises NoPlace."""
    if not doors:
        return []
    silent = _sorted(doors, posts.outside.ask([door.at(door.local) for door in doors], timeout), found, meaning)
    if not silent:
        return []
    # The cable or its route may be gone: try once more over a new one before reporting a failure.
    posts.outside.close()
    return _sorted(silent, posts.outside.ask([door.at(door.local) for door in silent], timeout), found, meaning)


def _sorted(
    doors: list[_Door], answers: list[dict[str, Any]], found: list[dict[str, Found]], meaning: Found
) -> list[_Door]:
    silent = []
    for door, answer in zip(doors, answers, strict=True):
        door.reasons.append(str(answer.get("reason", ""))[:300])
        if answer.get("answers") is True:
            found[door.number][door.listener] = Found(meaning.state, meaning.cause, door.reasons[-1])
        else:
            silent.append(door)
    return silent
