"""What comes in about OpenVPN is checked, and what openvpn is given holds nothing else."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn import pki
from vpn.agent.memory.names import Names
from vpn.agent.memory.saved import Saved
from vpn.agent.memory.state import State
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn import peer_file
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.revocation import revoked_serials
from vpn.agent.system.command import Netns
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.documents import SpecDocument
from vpn.wire.errors import BASE_MISMATCH, INVALID, AgentError
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import HubSpec, parse_spec

PLACES: list[tuple[str | int, ...]] = [
    *(("openvpn", name) for name in made.openvpn()),
    ("pushed_routes", 0),
    ("dns", 0),
    ("search_domains", 1),
    *(("peers", made.peer_id(1), name) for name in ("protocol", "common_name", "route_all", "compat")),
    ("peers", made.peer_id(1), "addresses", 0),
    ("peers", made.peer_id(1), "addresses", 1),
    ("peers", made.peer_id(1), "routes", 0),
]
VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.sampled_from(
        [
            '10.0.0.0/8"\nscript-security 3',
            "9.9.9.9\n",
            "fe80::1%eth0",
            "$(id)",
            "`id`",
            "../../etc/passwd",
            made.pem("CERTIFICATE") + "up /bin/sh\n",
            made.pem("CERTIFICATE") * 2,
            made.pem("PRIVATE KEY").replace("\n", "\r\n"),
            made.pem("CERTIFICATE").rstrip("\n"),
        ]
    ),
)


def document() -> dict[str, Any]:
    whole = made.spec(2, openvpn=made.openvpn(compat_port=20000), pushed_routes=["10.77.0.0/16"], dns=["9.9.9.9"])
    whole["search_domains"] = ["office.example.net", "corp.example"]
    whole["peers"][made.peer_id(1)] = made.openvpn_peer(1, "10.1.0.0/24", "fd01::/64")
    whole["peers"][made.peer_id(3)] = made.openvpn_peer(3, route_all=True, compat=True)
    copied = json.loads(json.dumps(whole))
    assert isinstance(copied, dict)
    return copied


def replaced(place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    whole = copy.deepcopy(document())
    inner: Any = whole
    for step in place[:-1]:
        inner = inner[step]
    if isinstance(inner, list) and place[-1] == len(inner):
        inner.append(value)
    else:
        inner[place[-1]] = value
    return whole


def written(spec: HubSpec) -> dict[str, str]:
    """Return all that openvpn, its scripts and ip(8) get, by name."""
    layout = Layout(Path("/var/lib/vpn-hub/x/openvpn")).checked()
    assert spec.openvpn is not None
    texts = openvpn_config.contents(layout, Names(spec.hub, Netns("host")), spec, spec.openvpn, dual_stack=True)
    for peer_id, peer in spec.peers.items():
        if isinstance(peer, OpenVPNPeer):
            texts[f"ccd/{peer_id}"] = peer_file.client(spec, peer)
    return texts


GOOD = written(parse_spec(document()))


@given(st.sampled_from(PLACES), VALUES)
def test_no_value_can_add_a_line(place: tuple[str | int, ...], value: object) -> None:
    try:
        texts = written(parse_spec(replaced(place, value)))
    except AgentError:
        return  # refused, which other tests look at
    for name, text in texts.items():
        assert text.isascii()
        assert "\r" not in text
        assert "\0" not in text
        if not name.endswith(".pem"):
            # A null port takes a listener away, a /0 is never pushed.
            assert text.count("\n") - GOOD[name].count("\n") in (-1, 0), name


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


def with_list(generation: int, listed: str, **changes: Any) -> SpecDocument:
    crl = f"-----BEGIN X509 CRL-----\n{listed}\n-----END X509 CRL-----\n"
    return made.spec(1, generation=generation, openvpn=made.openvpn(crl=crl, **changes))


def test_a_revocation_travels_as_a_delta_and_is_there_after_a_restart(tmp_path: Path) -> None:
    before, after = with_list(1, "QUJD"), with_list(2, "REVG")
    del after["peers"][made.peer_id(1)]
    delta = parse_delta(json.loads(json.dumps(made.delta(before, after))))
    assert delta.document() == made.delta(before, after)
    state = State(tmp_path)
    saved = Saved.of(parse_spec(before))
    state.save(saved)
    saved.advance(delta, saved.change(delta))
    assert (saved.spec, saved.digest) == (parse_spec(after), digest(after))
    state.save_delta(saved, delta)
    again = State(tmp_path).load(before["hub"])
    assert again is not None
    assert (again.spec, again.digest) == (parse_spec(after), digest(after))


def test_a_delta_changes_nothing_else_of_the_header() -> None:
    before, after = with_list(1, "QUJD"), with_list(2, "REVG", compat_port=1196)
    without = made.spec(1)
    for base in (before, without):
        with pytest.raises(AgentError) as refusal:
            Saved.of(parse_spec(base)).change(parse_delta({**made.delta(base, after), "crl": made.pem("X509 CRL")}))
        assert refusal.value.code == BASE_MISMATCH
    with pytest.raises(AgentError) as refusal:
        parse_delta({**made.delta(before, after), "crl": "../../etc/passwd"})
    assert refusal.value.code == INVALID


OFTEN = ["ping 2", "ping-restart 30", 'push "ping 2"', 'push "ping-restart 6"']


def test_peers_are_told_of_the_others_networks() -> None:
    assert GOOD["pushed_split"].splitlines() == [
        '- push "route 10.77.0.0 255.255.0.0"',
        f'{made.peer_id(1)} push "route 10.1.0.0 255.255.255.0"',
        f'{made.peer_id(1)} push "route-ipv6 fd01::/64"',
    ]
    assert GOOD["pushed_all"].splitlines() == [
        '- push "redirect-gateway def1 ipv6"',
        '- push "block-outside-dns"',
    ]
    assert GOOD["pushed_dns"].splitlines() == [
        '- push "dhcp-option DNS 9.9.9.9"',
        '- push "dhcp-option DOMAIN office.example.net"',
        '- push "dhcp-option DOMAIN-SEARCH corp.example"',
    ]
    assert GOOD[f"ccd/{made.peer_id(1)}"].splitlines() == [
        "# split metric",
        "# 100.64.0.3/32",
        "# fd12:3456:789a::3/128",
        "# 10.1.0.0/24",
        "# fd01::/64",
        "ifconfig-push 100.64.0.3 255.255.240.0",
        "ifconfig-ipv6-push fd12:3456:789a::3/64 fd12:3456:789a::1",
        "iroute 10.1.0.0 255.255.255.0",
        "iroute-ipv6 fd01::/64",
        *OFTEN,
    ]


def test_devices_are_seldom_woken_and_routers_notice_soon() -> None:
    def paced(**changes: Any) -> list[str]:
        whole = document()
        whole["peers"][made.peer_id(1)] = {**made.openvpn_peer(1), **changes}
        return written(parse_spec(whole))[f"ccd/{made.peer_id(1)}"].splitlines()[-4:]

    assert paced() == ["ping 25", "ping-restart 60", 'push "ping 25"', 'push "ping-restart 55"']
    assert paced(route_all=True) == paced()
    assert paced(routes=["10.1.0.0/24"]) == paced(compat=True) == OFTEN


def test_devices_are_told_of_the_resolver_and_routers_are_not() -> None:
    def told(**changes: Any) -> str:
        whole = document()
        whole["peers"][made.peer_id(1)] = {**made.openvpn_peer(1), **changes}
        return written(parse_spec(whole))[f"ccd/{made.peer_id(1)}"].splitlines()[0]

    assert told() == "# split dns metric"
    assert told(route_all=True) == "# all dns"
    assert told(routes=["10.1.0.0/24"]) == "# split metric"
    assert told(compat=True) == "# split"


def test_a_router_with_static_routes_is_pushed_none() -> None:
    whole = document()
    whole["peers"][made.peer_id(1)] = {**made.openvpn_peer(1, "10.1.0.0/24", compat=True), "static_routes": True}
    spec = parse_spec(whole)
    assert spec.document() == whole
    assert written(spec)[f"ccd/{made.peer_id(1)}"].splitlines() == [
        "# ",
        "# 100.64.0.3/32",
        "# fd12:3456:789a::3/128",
        "# 10.1.0.0/24",
        "ifconfig-push 100.64.0.3 255.255.240.0",
        "iroute 10.1.0.0 255.255.255.0",
        *OFTEN,
    ]


def test_no_client_is_told_more_domains_than_it_takes() -> None:
    whole = document()
    whole["search_domains"] = [f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 50}", *(f"d{n}.example" for n in range(20))]
    lines = written(parse_spec(whole))["pushed_dns"].splitlines()
    assert all(len(line) < 256 for line in lines)
    assert len(lines) == 10


def test_the_listeners_differ_where_they_must() -> None:
    assert "data-ciphers AES-256-GCM:CHACHA20-POLY1305\n" in GOOD["udp.conf"]
    for listener in ("udp", "tcp"):
        assert "tls-crypt-v2 " in GOOD[f"{listener}.conf"]
        assert "CBC" not in GOOD[f"{listener}.conf"]
    assert "tls-crypt" not in GOOD["compat.conf"]
    assert "data-ciphers AES-256-GCM:AES-256-CBC\n" in GOOD["compat.conf"]
    for listener in ("udp", "tcp", "compat"):
        assert "tls-version-min 1.2\n" in GOOD[f"{listener}.conf"]
        assert "client-to-client" not in GOOD[f"{listener}.conf"]
    assert "compat.conf" not in written(parse_spec({**document(), **without_compat()}))


def without_compat() -> dict[str, Any]:
    whole = document()
    del whole["peers"][made.peer_id(3)]
    return {"openvpn": made.openvpn(), "peers": whole["peers"]}


@pytest.mark.parametrize("path", ["/var/lib/my hub", '/var/"', "/var/$x", "/" + "x" * 120])
def test_a_state_directory_that_openvpn_cannot_use_is_refused(path: str) -> None:
    with pytest.raises(AgentError, match="state directory"):
        Layout(Path(path)).checked()


def test_revoked_certificates_are_read_from_the_list() -> None:
    now = datetime.now(UTC)
    authority = pki.create_authority("hub", now)
    assert revoked_serials(pki.revocation_list(authority, [], 1, now)) == set()
    for serials in ({1}, {127, 128, 255, 256, 2**158 + 7}, set(range(1, 3000))):
        crl = pki.revocation_list(authority, [pki.Revoked(serial, now) for serial in serials], 2, now)
        assert revoked_serials(crl) == serials


@given(st.binary(max_size=200))
def test_a_list_that_makes_no_sense_names_none(der: bytes) -> None:
    assert revoked_serials(f"-----BEGIN X509 CRL-----\n{base64.b64encode(der).decode()}\n") is not None
    assert revoked_serials("no list\x00") == set()


HEADER = (
    "HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent"
    "\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher"
)


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("203.0.113.5:1194", "203.0.113.5:1194"),
        ("udp4:203.0.113.5:1194", "203.0.113.5:1194"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("tcp6-server:2001:db8::1", "[2001:db8::1]"),
        ("somewhere", None),
    ],
)
def test_sessions_are_read_from_a_status(address: str, endpoint: str | None) -> None:
    line = f"CLIENT_LIST\t{made.peer_id(1)}\t{address}\t100.64.0.3\t\t11\t22\tSun\t1700000000\tUNDEF\t7\t0\tAES-256-GCM"
    other = line.replace(made.peer_id(1), "UNDEF")
    (session,) = openvpn_management._parse(["TITLE\tOpenVPN", HEADER, line, other, "GLOBAL_STATS\tx\t1"])
    assert session == openvpn_management.Session(made.peer_id(1), 7, endpoint, 1700000000, 11, 22)


@pytest.mark.parametrize(("peers", "most"), [(1, 1024), (512, 1024), (513, 8192), (5000, 65536)])
def test_strangers_are_as_many_as_the_peers_leave_room_for(peers: int, most: int) -> None:
    spec = parse_spec(document())
    peer = next(peer for peer in spec.peers.values() if isinstance(peer, OpenVPNPeer))
    many = replace(spec, peers={f"{number}": peer for number in range(peers)})
    texts = written(many)
    for name in ("tcp.conf", "udp.conf"):
        assert f"max-clients {most}\n" in texts[name]
        assert "hand-window 30\n" in texts[name]
