"""The scripts' language: what is quoted reads back as itself, and the tests' router refuses what a router would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routeros.language import Literal, Parser, ScriptError
from tests.routeros.router import Router
from vpn.profiles.routeros_script import command, quoted, word


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_a_quoted_string_reads_back_as_itself(text: str) -> None:
    literal = quoted(text)
    assert literal.isascii()
    assert "\n" not in literal
    (made,) = Parser(f"/ip address add comment={literal}").script()
    assert made.properties == (("comment", Literal(text)),)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("C:\\x", r'"C:\\x"'),
        ("$[/system reboot]", r'"\$[/system reboot]"'),
        ("what?", r'"what\3F"'),
        ("a\nb", r'"a\nb"'),
        ("é", r'"\C3\A9"'),
    ],
)
def test_the_manuals_escapes(text: str, literal: str) -> None:
    assert quoted(text) == literal


@pytest.mark.parametrize("text", ["", "a b", "a;b", "a\n", "$a", "[find]", "a?", '"'])
def test_a_word_holds_nothing_that_means_something(text: str) -> None:
    with pytest.raises(ValueError, match="plain word"):
        word(text)


def test_a_property_is_a_plain_name() -> None:
    with pytest.raises(ValueError, match="no property"):
        command("/ip address", "add", **{"address=1 comment": "x"})


@pytest.mark.parametrize(
    ("version", "script"),
    [
        ((7, 12), '/interface wireguard add nam="x"'),
        ((7, 12), '/interface wireguard peers add name="x" interface="x" public-key="x"'),
        ((7, 16), '/interface wireguard peers add responder=yes interface="x" public-key="x"'),
        ((7, 17), '/interface wireguard add name="x" vrf=main'),
        ((6, 49), '/interface wireguard add name="x"'),
        ((6, 49), '/ipv6 route remove [/ipv6 route find where comment~"x"]'),
        ((6, 49), '/interface ovpn-client add protocol=tcp connect-to="x" user="x" password="x"'),
        ((6, 49), '/interface ovpn-client add name="x" cipher=aes256-cbc connect-to="x" user="x" password="x"'),
        ((7, 12), '/interface ovpn-client add name="x" cipher=aes256 connect-to="x" user="x" password="x"'),
        ((7, 12), '/interface ovpn-client add name="x" connect-to="x" user="x"'),
        ((7, 12), '/interface ovpn-client add name="x" tls-crypt="x" connect-to="x" user="x" password="x"'),
        ((7, 20), '/certificate set [/certificate find where name="x"] trust-store=ovpn'),
        ((7, 20), '/certificate import file-name="x" passphrase="" trusted=yes'),
        ((6, 49), '/file add name="x" contents="y"'),
        ((7, 12), '/ip route add dst-address=10.0.0.0/8 gateway="vpn"'),
        ((7, 12), '/ip route add dst-address=10.0.0.1/8 gateway="ether1"'),
        ((7, 12), "/ip route add dst-address=10.0.0.0/8"),
        ((7, 12), "/system reboot"),
        ((7, 12), ":put hello"),
        ((7, 12), '/ip address add address=10.0.0.1/24 interface="ether1" comment="$x"'),
        ((7, 12), '/ip address add address=10.0.0.1/24 interface="ether1" comment="x?"'),
        ((7, 12), '/ip address add address=10.0.0.1/24 interface="ether1" comment="é"'),
        ((7, 12), '/ip address add address=10.0.0.1/24 interface="ether1" comment="x'),
    ],
)
def test_the_router_refuses_what_its_version_does_not_know(version: tuple[int, ...], script: str) -> None:
    with pytest.raises((ScriptError, ValueError)):
        Router(version).run(script)


def test_the_router_of_the_tests_keeps_order() -> None:
    router = Router((7, 12))
    router.run('/ip firewall filter add chain=forward action=drop comment="last"')
    router.run(
        ':if ([:len [/ip firewall filter find where action="drop"]] > 0) do={ /ip firewall filter add chain=forward '
        'action=accept comment="first" place-before=[:pick [/ip firewall filter find where action="drop"] 0] }'
    )
    assert [row["comment"] for row in router.rows("/ip firewall filter")] == ["first", "last"]
