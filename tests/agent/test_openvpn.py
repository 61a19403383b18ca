"""The files that openvpn gets, to which no value of a spec can add a line; and the sessions that it reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from tests.agent.openvpn_spec import GOOD, document, replaced, written
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn.layout import Layout
from vpn.wire.errors import AgentError
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import parse_spec

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
            # A null port removes a listener, and a /0 is never pushed.
            assert text.count("\n") - GOOD[name].count("\n") in (-1, 0), name


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
