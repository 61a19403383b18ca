"""If a spec cannot be applied, its removals are still enforced, and nothing is added."""

from __future__ import annotations

from typing import Any

from tests.agent import made
from vpn.agent.lifecycle.salvage import reduced
from vpn.wire.spec import HubSpec, parse_spec

ONE = made.peer_id(1)
OFFICE, WIDER = "10.1.0.0/24", "10.2.0.0/24"


def hub(*peers: Any, crl: str = "QUJD", **changes: Any) -> HubSpec:
    listed = f"-----BEGIN X509 CRL-----\n{crl}\n-----END X509 CRL-----\n"
    document = made.spec(openvpn=made.openvpn(crl=listed), **changes)
    return parse_spec(document | {"peers": {made.peer_id(number): peer for number, peer in enumerate(peers, 1)}})


def moving_to_openvpn() -> Any:
    return made.openvpn_peer(1, OFFICE) | {"former": made.peer(1, OFFICE)}


def test_who_is_gone_leaves_and_who_is_new_does_not_come() -> None:
    rest = reduced(hub(made.peer(1), made.peer(2)), hub(made.peer(1)))
    assert rest == hub(made.peer(1))
    assert reduced(hub(made.peer(1)), hub(made.peer(1), made.peer(2), pushed_routes=["10.9.0.0/16"])) == hub(
        made.peer(1)
    )


def test_a_key_that_was_renewed_ends_with_its_peer() -> None:
    renewed = made.peer(1) | {"public_key": made.key("new")}
    assert reduced(hub(made.peer(1)), hub(renewed)).peers == {}


def test_revoked_certificates_end_while_their_peers_stay() -> None:
    before, wanted = (
        hub(made.openvpn_peer(1), crl="QUJD"),
        hub(made.openvpn_peer(1), crl="REVG", pushed_routes=["10.9.0.0/16"]),
    )
    assert reduced(before, wanted) == hub(made.openvpn_peer(1), crl="REVG")


def test_a_change_of_protocol_that_is_over_takes_the_old_way_in_alone() -> None:
    over = made.openvpn_peer(1, OFFICE)
    assert reduced(hub(moving_to_openvpn()), hub(over)).peers == hub(over).peers
    assert reduced(hub(over), hub(made.peer(1, OFFICE))).peers == {}
    assert reduced(hub(over), hub(made.peer(1, OFFICE) | {"former": over})).peers == hub(over).peers


def test_networks_and_tags_are_taken_and_none_is_given() -> None:
    tag = f"group:{made.peer_id(7)}"
    before = hub(made.peer(1, OFFICE, WIDER) | {"tags": [tag]})
    assert reduced(before, hub(made.peer(1, OFFICE))) == hub(made.peer(1, OFFICE))
    assert reduced(hub(made.peer(1, OFFICE)), hub(made.peer(1, OFFICE, WIDER))) == hub(made.peer(1, OFFICE))
