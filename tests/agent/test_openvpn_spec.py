"""Validation of the OpenVPN part of specs and deltas: faults are named, and keys are never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.agent import made
from tests.agent.openvpn_spec import document, replaced
from vpn.agent.memory.saved import Saved
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.errors import BASE_MISMATCH, INVALID, AgentError
from vpn.wire.spec import parse_spec


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("openvpn", "ca"), made.pem("PRIVATE KEY"), "openvpn.ca"),
        (("openvpn", "certificate"), made.pem("CERTIFICATE") * 2, "openvpn.certificate"),
        (("openvpn", "private_key"), made.pem("EC PRIVATE KEY"), "openvpn.private_key"),
        (("openvpn", "crl"), None, "openvpn.crl"),
        (("openvpn", "tls_crypt_v2"), "", "openvpn.tls_crypt_v2"),
        (("openvpn", "udp_port"), 0, "openvpn.udp_port"),
        (("openvpn", "udp_port"), 20000, "same port"),
        (("openvpn", "compat_port"), 20001, "same port"),
        (("openvpn", "compat_port"), None, "without a listener"),
        (("openvpn", "user"), "nobody", "1 unknown fields"),
        (("openvpn",), None, "without a listener"),
        (("addresses",), ["fd12:3456:789a::1/64"], "IPv4 address"),
        (("pushed_routes", 0), "10.77.0.1/16", "pushed_routes"),
        (("dns", 0), "9.9.9.9/32", "dns"),
        (("peers", made.peer_id(1), "protocol"), "wireguard", "protocol"),
        (("peers", made.peer_id(1), "common_name"), made.peer_id(2), "common_name"),
        (("peers", made.peer_id(1), "addresses", 0), "100.64.0.3/31", "addresses"),
        (("peers", made.peer_id(1), "addresses", 0), "100.64.0.4/32", "belongs to"),
        (("peers", made.peer_id(1), "addresses"), ["fd12:3456:789a::3/128"], "addresses"),
        (("peers", made.peer_id(1), "addresses", 2), "100.64.0.9/32", "addresses"),
        (("peers", made.peer_id(1), "routes", 0), "169.254.0.0/16", "routes"),
        (("peers", made.peer_id(1), "route_all"), "yes", "route_all"),
        (("peers", made.peer_id(1), "public_key"), made.key("a"), "1 unknown fields"),
    ],
)
def test_a_fault_is_named(place: tuple[str | int, ...], value: object, named: str) -> None:
    with pytest.raises(AgentError) as refusal:
        parse_spec(replaced(place, value))
    assert refusal.value.code == INVALID
    assert named in refusal.value.message


def test_no_key_is_named_or_shown() -> None:
    whole = replaced(("openvpn", "private_key"), "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n")
    with pytest.raises(AgentError) as refusal:
        parse_spec(whole)
    assert "c2Vj" not in str(refusal.value)
    assert "QUJD" not in repr(parse_spec(document())).replace("CERTIFICATE-----\\nQUJD", "")


def test_what_was_parsed_is_written_as_it_came() -> None:
    assert parse_spec(document()).document() == document()
    before, after = made.spec(1), made.spec(1, generation=2)
    after["peers"][made.peer_id(1)] = made.openvpn_peer(1)
    change = json.loads(json.dumps(made.delta(before, after)))
    assert parse_delta(change).document() == change


def test_a_spec_without_openvpn_is_what_it_was() -> None:
    bare: dict[str, Any] = json.loads(json.dumps(made.spec(1, 2)))
    empty = {**bare, "openvpn": None, "pushed_routes": [], "dns": []}
    assert parse_spec(empty) == parse_spec(bare)
    assert digest(empty) == digest(bare) == Saved.of(parse_spec(empty)).digest
    assert digest({**bare, "dns": ["9.9.9.9"]}) != digest(bare)


def test_a_delta_cannot_bring_a_peer_without_its_listener() -> None:
    before = made.spec(1, openvpn=made.openvpn())
    after = made.spec(1, generation=2, openvpn=made.openvpn())
    after["peers"][made.peer_id(3)] = made.openvpn_peer(3, compat=True)
    with pytest.raises(AgentError) as refusal:
        Saved.of(parse_spec(before)).change(parse_delta(made.delta(before, after)))
    assert refusal.value.code == BASE_MISMATCH
