"""What it means which knocks are answered: from outside of the host, from the host, through the hub's address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from vpn.drivers.base import Knock
from vpn.drivers.knocking import knock_on
from vpn.drivers.outside import NoPlace, address_of

OWN, PUBLIC = "203.0.113.1", "198.51.100.7"
Answering = Callable[[str], bool]


class Post:
    """Answers by the address that is knocked on; says that there is no such place where it is None."""

    def __init__(self, answering: Answering | None) -> None:
        self.answering, self.rounds = answering, 0

    def ask(self, asked: Sequence[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
        """One answer for each door."""
        self.rounds += 1
        if self.answering is None:
            raise NoPlace
        return [{"answers": self.answering(address_of(door)), "reason": ""} for door in asked]

    def close(self) -> None:
        """Nothing to end."""


class Posts:
    """A host with one address, and what answers from where."""

    def __init__(self, inside: Answering | None, outside: Answering | None) -> None:
        self.inside, self.outside = Post(inside), Post(outside)
        self.host = self

    def addresses(self) -> dict[str, str]:
        """The host's."""
        return {OWN: "eth0", "2001:db8::1": "eth0"}


def always(_: str) -> bool:
    return True


def never(_: str) -> bool:
    return False


def own_alone(host: str) -> bool:
    return host == OWN


@pytest.mark.parametrize(
    ("address", "inside", "outside", "state", "cause"),
    [
        (OWN, always, always, "proven", ""),
        (OWN, always, never, "unreachable", "firewall"),
        (OWN, never, never, "unreachable", "silent"),
        (OWN, always, None, "unproven", "no-right"),
        # A router that leads back: what came through it came from outside.
        (PUBLIC, always, always, "proven", ""),
        (PUBLIC, own_alone, always, "unproven", "nat"),
        (PUBLIC, own_alone, never, "unreachable", "firewall"),
        (PUBLIC, own_alone, None, "unproven", "no-right"),
        (PUBLIC, never, never, "unreachable", "silent"),
    ],
)
def test_which_knocks_are_answered_tells_why(
    address: str, inside: Answering | None, outside: Answering | None, state: str, cause: str
) -> None:
    asked = Knock(address, 20000, "key", "key", "key", "100.64.15.254", "100.64.0.1", openvpn_port=20001)
    (found,) = knock_on(Posts(inside, outside), [asked], 1.0)  # type: ignore[arg-type]
    assert set(found) == {"wireguard", "openvpn_udp", "openvpn_tcp"}
    assert {(one.state, one.cause) for one in found.values()} == {(state, cause)}


def test_where_nothing_can_be_known_nothing_is_said() -> None:
    asked = Knock(OWN, 20000, "key", "key", "key", "100.64.15.254", "100.64.0.1")
    with pytest.raises(NoPlace):
        knock_on(Posts(None, None), [asked], 1.0)  # type: ignore[arg-type]
