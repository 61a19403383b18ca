"""Test listeners from several network namespaces, and derive the cause of a failure.

If the hub's address belongs to the host, the first test comes from outside the host. If only a test on the host itself
is answered, a firewall on the host drops packets from outside. If the address does not belong to the host, the hub is
behind a NAT router: the host tests through that router, which may or may not forward the packets back (hairpin NAT).
If it does not, the hub is tested through an address of the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from vpn.choices import Listener, ProofCause, Reachability
from vpn.drivers.base import Found, Knock
from vpn.drivers.outside import NoPlace, Post, Posts
from vpn.drivers.proof.reason import Reason

_PROVEN = Found(Reachability.PROVEN)


@dataclass
class _Door:
    """One listener to test. `local` is an address of the host at which the hub can be tested instead."""

    number: int
    listener: str
    knock: Knock
    address: str
    is_local: bool
    local: str
    reasons: list[Reason] = field(default_factory=list)

    def at(self, address: str) -> dict[str, Any]:
        """Return the listener at `address`, in the form for `vpn.drivers.doors`."""
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
    """Return the results of each knock by listener, after at most four rounds of `timeout` seconds.

    Raises NoPlace if no test is possible, not even from the host itself.
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


def knock_from_here(post: Post, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
    """Test hubs on other machines like a device does, in at most two rounds of `timeout` seconds. Raises NoPlace."""
    found: list[dict[str, Found]] = [{} for _ in knocks]
    silent = [door for number, knock in enumerate(knocks) for door in _doors(number, knock, {})]
    for _ in range(2):  # The first packet may be lost.
        if silent:
            answers = post.ask([door.at(door.address) for door in silent], timeout)
            silent = _sorted(silent, answers, found, _PROVEN)
    for door in silent:
        found[door.number][door.listener] = Found(Reachability.UNREACHABLE, ProofCause.CLOSED, door.reasons[-1])
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
    """Test from the host itself, `through` the hub's address or at the host's own; return what did not answer.

    Raises NoPlace if no test is possible.
    """
    answers = posts.inside.ask([door.at(door.address if through else door.local) for door in doors], timeout)
    return _sorted(doors, answers, found, meaning)


def _round_outside(
    posts: Posts, doors: list[_Door], timeout: float, found: list[dict[str, Found]], meaning: Found
) -> list[_Door]:
    """Test from outside the host, at its own addresses; return what did not answer. Raises NoPlace."""
    if not doors:
        return []
    silent = _sorted(doors, posts.outside.ask([door.at(door.local) for door in doors], timeout), found, meaning)
    if not silent:
        return []
    # The veth pair or its route may be gone: try once more over a new one before reporting a failure.
    posts.outside.close()
    return _sorted(silent, posts.outside.ask([door.at(door.local) for door in silent], timeout), found, meaning)


def _sorted(
    doors: list[_Door], answers: list[dict[str, Any]], found: list[dict[str, Found]], meaning: Found
) -> list[_Door]:
    silent = []
    for door, answer in zip(doors, answers, strict=True):
        door.reasons.append(answer.get("reason") or {})
        if answer.get("answers") is True:
            found[door.number][door.listener] = Found(meaning.state, meaning.cause, door.reasons[-1])
        else:
            silent.append(door)
    return silent
