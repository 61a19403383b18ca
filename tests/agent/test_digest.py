"""A delta's target digest, computed without the other peers, equals the digest of the whole spec."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn.wire.digests import changed_total, digest, header_digest, peer_digest, peers_total, spec_digest

NUMBERS = st.sets(st.integers(0, 40))


@given(NUMBERS, NUMBERS)
def test_a_delta_leads_to_the_digest_of_the_whole(before: set[int], after: set[int]) -> None:
    first, second = made.spec(*before), made.spec(*after, generation=2)
    total = changed_total(
        peers_total(first["peers"]),
        [peer_digest(made.peer_id(number), made.peer(number)) for number in before - after],
        [peer_digest(made.peer_id(number), made.peer(number)) for number in after - before],
    )
    assert spec_digest(header_digest(first), total) == digest(second)


def test_the_digest_covers_all_but_epoch_and_generation() -> None:
    same = [made.spec(1, 2), made.spec(2, 1), made.spec(1, 2, generation=9), made.spec(1, 2, epoch=4)]
    assert len({digest(document) for document in same}) == 1
    other = [
        made.spec(1),
        made.spec(1, 2, forwarding="deny"),
        made.spec(1, 2, addresses=["100.64.0.1/20"]),
        made.spec(1, 2, peers={made.peer_id(1): made.peer(2), made.peer_id(2): made.peer(1)}),
        made.spec(1, 2, wireguard={"port": 20001, "private_key": made.key("private"), "mtu": 1420}),
    ]
    assert len({digest(document) for document in [*same, *other]}) == 1 + len(other)
