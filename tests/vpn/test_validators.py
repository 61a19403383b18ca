"""What is refused, with its reason, and that nothing else is."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from vpn import keys, validators
from vpn.constants import RESERVED_HOSTNAMES

networks = st.builds(
    lambda address, prefix: ip_network((address, prefix), strict=False), st.ip_addresses(v=4), st.integers(0, 32)
) | st.builds(
    lambda address, prefix: ip_network((address, prefix), strict=False), st.ip_addresses(v=6), st.integers(0, 128)
)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def refusal(check: Callable[..., object], value: object) -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        check(value)
    assert refused.value.message.endswith((".", "?")), "a refusal is a sentence"
    return refused.value


@pytest.mark.parametrize("name", ["abc", "Head office", "Zürich", "東京支店", "a" * 20, "Ali's hub #2"])
def test_names_that_are_fine(name: str) -> None:
    validators.validate_name(name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "too_short"),
        ("ab", "too_short"),
        ("a" * 21, "too_long"),
        ("   ", "not_stripped"),
        (" abc", "not_stripped"),
        ("abc ", "not_stripped"),
        ("a\nb c", "not_printable"),
        ("abc\n", "not_printable"),
        ("a\tbc", "not_printable"),
        ("a\x00bc", "not_printable"),
        ("a\u2028bc", "not_printable"),
        ("abc\u202edef", "not_printable"),
        ("abc\u2066def", "not_printable"),
        ("ab\u200bc", "not_printable"),
        ("ab\ufeffc", "not_printable"),
        ("abc\ud800", "not_printable"),
        ("a\xa0bc", "not_printable"),
    ],
)
def test_names_that_are_refused(name: str, code: str) -> None:
    assert refusal(validators.validate_name, name).code == code


@given(st.text(max_size=25))
def test_a_name_that_passes_is_one_printable_line(name: str) -> None:
    try:
        validators.validate_name(name)
    except ValidationError:
        return
    assert 3 <= len(name) <= 20
    assert name.splitlines() == [name]
    assert name == name.strip()


def test_a_device_may_have_one_to_forty_characters() -> None:
    validators.validate_label_text("x")
    validators.validate_label_text("x" * 40)
    assert refusal(validators.validate_label_text, "").code == "too_short"
    assert refusal(validators.validate_label_text, "x" * 41).code == "too_long"


@pytest.mark.parametrize("hostname", ["fra", "berlin-office", "a1b", "123", "x" * 20, "1st-hub", "demo"])
def test_hostnames_that_are_fine(hostname: str) -> None:
    validators.validate_hostname(hostname)


@pytest.mark.parametrize(
    ("hostname", "code", "words"),
    [
        ("FRA", "upper_case", "“fra”"),
        ("Www", "upper_case", "“www”"),
        ("", "too_short", "3 to 20"),
        ("ab", "too_short", "has 2"),
        ("x" * 21, "too_long", "has 21"),
        ("-abc", "hyphen_at_end", "hyphen"),
        ("abc-", "hyphen_at_end", "hyphen"),
        ("a_c", "bad_character", "a to z"),
        ("a b", "bad_character", "a to z"),
        ("zürich", "bad_character", "a to z"),
        ("\uff26\uff32\uff21", "bad_character", "a to z"),
        ("abc\n", "bad_character", "a to z"),
        ("fra.example", "dot", "first part"),
        ("xn--abc", "reserved_label", "hyphens"),
        ("ab--c", "reserved_label", "hyphens"),
        ("www", "reserved", "reserved"),
        ("autodiscover", "reserved", "reserved"),
    ],
)
def test_hostnames_that_are_refused(hostname: str, code: str, words: str) -> None:
    refused = refusal(validators.validate_hostname, hostname)
    assert refused.code == code
    assert words in refused.message


@given(st.text(alphabet="abz019-._A ü\n", max_size=24) | st.text(max_size=24))
def test_a_hostname_that_passes_is_one_label(hostname: str) -> None:
    try:
        validators.validate_hostname(hostname)
    except ValidationError:
        return
    assert LABEL.fullmatch(hostname)
    assert 3 <= len(hostname) <= 20
    assert hostname not in RESERVED_HOSTNAMES


def test_the_usual_names_are_reserved() -> None:
    usual = "www api vpn mail cdn ns ns1 smtp ftp admin app dns mx gateway localhost test status portal"
    assert set(usual.split()) <= RESERVED_HOSTNAMES


@given(networks)
def test_every_network_is_read_back(network: IPv4Network | IPv6Network) -> None:
    assert validators.parse_network(f"  {network} \n") == network


@given(st.text(max_size=40) | st.text(alphabet="0123456789./:abf%", max_size=30))
def test_what_is_read_is_written_the_same_way(text: str) -> None:
    try:
        network = validators.parse_network(text)
    except ValidationError:
        return
    assert ip_network(text.strip()) == network


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("10.1.0.5/24", "host_bits", "10.1.0.5/24 has host bits set; the network is 10.1.0.0/24."),
        ("fd12::5/64", "host_bits", "the network is fd12::/64."),
        ("10.1.0.5", "no_prefix", "10.1.0.5/32"),
        ("fd12::5", "no_prefix", "fd12::5/128"),
        ("10.1.0.0/33", "bad_prefix", "0 to 32"),
        ("fd12::/129", "bad_prefix", "0 to 128"),
        ("10.0.0.0/", "bad_prefix", "0 to 32"),
        ("10.0.0.0/255.0.0.0", "bad_prefix", "0 to 32"),
        ("10.0.0.0/0.0.0.255", "bad_prefix", "0 to 32"),
        ("10.0.0.0/08", "bad_prefix", "0 to 32"),
        ("10.0.0.0/٨", "bad_prefix", "0 to 32"),
        ("10.0.0.0/8/8", "bad_prefix", "0 to 32"),
        ("010.0.0.0/8", "leading_zero", "leading zeros"),
        ("10.00.0.0/8", "leading_zero", "leading zeros"),
        ("fe80::1%eth0/64", "zone", "zone"),
        ("10.1/16", "not_an_address", "10.1.0.0/24"),
        ("", "not_an_address", "10.1.0.0/24"),
        ("office", "not_an_address", "“office”"),
        ("x" * 9000, "not_an_address", "…”"),
    ],
)
def test_networks_that_are_refused(text: str, code: str, words: str) -> None:
    refused = refusal(validators.parse_network, text)
    assert refused.code == code
    assert words in refused.message
    assert len(refused.message) < 250


def test_pushed_routes_are_usable_networks() -> None:
    assert validators.parse_pushed_route(" 10.0.0.0/8 ") == IPv4Network("10.0.0.0/8")
    assert validators.parse_pushed_route("203.0.113.0/24") == IPv4Network("203.0.113.0/24")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0.0.0.0/0", "default_route"),
        ("::/0", "default_route"),
        ("128.0.0.0/1", "broad"),
        ("127.0.0.0/8", "reserved"),
        ("169.254.169.254/32", "reserved"),
        ("168.63.129.16/32", "reserved"),
        ("100.100.0.0/16", "reserved"),
        ("fd00:ec2::/64", "reserved"),
        ("ff02::/16", "reserved"),
        ("224.0.0.0/4", "reserved"),
        ("10.0.0.1/8", "host_bits"),
    ],
)
def test_pushed_routes_that_are_refused(text: str, code: str) -> None:
    assert refusal(validators.parse_pushed_route, text).code == code


@pytest.mark.parametrize("text", ["9.9.9.9", "10.0.0.53", "2620:fe::fe", " 192.168.1.1 "])
def test_resolvers_that_are_fine(text: str) -> None:
    assert validators.parse_dns_server(text) == ip_address(text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.53",
        "0.0.0.0",  # noqa: S104 - an input to refuse, nothing is bound
        "224.0.0.251",
        "169.254.1.1",
        "255.255.255.255",
        "::1",
        "::",
        "ff02::fb",
        "fe80::1",
        "::ffff:9.9.9.9",
        "dns.example",
        "9.9.9.9/32",
        "09.9.9.9",
        "fe80::1%eth0",
        "-",
    ],
)
def test_resolvers_that_are_refused(text: str) -> None:
    refusal(validators.parse_dns_server, text)


def test_the_mtu_has_limits() -> None:
    for value in (1280, 1420, 1500):
        validators.validate_mtu(value)
    for value in (0, 1279, 1501):
        assert "1280 to 1500" in refusal(validators.validate_mtu, value).message


def test_a_devices_public_key_is_taken() -> None:
    validators.validate_wireguard_key(keys.public_key(keys.generate_private_key()))


@pytest.mark.parametrize("number", [0, 1, 2**255 - 20, 2**255 - 19])
def test_a_weak_key_is_refused(number: int) -> None:
    key = keys.encode_key(number.to_bytes(32, "little"))
    assert refusal(validators.validate_wireguard_key, key).code == "weak_key"


def test_what_is_no_key_is_refused_without_being_quoted() -> None:
    pasted = keys.generate_private_key()[:-3]
    refused = refusal(validators.validate_wireguard_key, pasted)
    assert refused.code == "not_a_key"
    assert pasted not in refused.message
