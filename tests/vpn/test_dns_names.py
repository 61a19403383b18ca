"""Names, domains and addresses of records: what is refused, with its reason, and that nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from vpn import dns_names
from vpn.wire.resolver import NAME


def refusal(check: Callable[..., object], *values: object) -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        check(*values)
    assert refused.value.message.endswith((".", "?")), "a refusal is a sentence"
    return refused.value


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nas.example.org", "nas.example.org"),
        (" NAS.Example.ORG. ", "nas.example.org"),
        ("_msdcs.corp.example", "_msdcs.corp.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("4.corp", "4.corp"),
        (f"{'a' * 63}.corp", f"{'a' * 63}.corp"),
    ],
)
def test_dns_names_in_their_one_form(text: str, name: str) -> None:
    assert dns_names.parse_dns_name(text) == name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        (".", "empty"),
        ("*.corp.example", "wildcard"),
        ("bücher.example", "not_ascii"),
        ("a b.example", "bad_character"),
        ("a\nserver=/x/.example", "bad_character"),
        ("a/b", "bad_character"),
        ("a..example", "empty_label"),
        (".example", "empty_label"),
        ("-a.example", "hyphen_at_end"),
        ("a-.example", "hyphen_at_end"),
        ("10.1.0.9", "not_a_name"),
        ("corp.1", "not_a_name"),
        (f"{'a' * 64}.corp", "label_too_long"),
        (".".join(["a" * 60] * 5), "too_long"),
    ],
)
def test_what_is_no_dns_name(text: str, code: str) -> None:
    assert refusal(dns_names.parse_dns_name, text).code == code


@given(st.one_of(st.text(), st.from_regex(r"[a-zA-Z0-9_.*-]{1,80}", fullmatch=True)))
def test_whatever_passes_is_a_name_that_the_agent_takes(text: str) -> None:
    try:
        name = dns_names.parse_dns_name(text)
    except ValidationError:
        return
    assert NAME.fullmatch(name)
    assert dns_names.parse_dns_name(name) == name


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "invalid", "x.onion", "nas.local", "10.in-addr.arpa"])
def test_special_names_are_nobodys(name: str) -> None:
    assert refusal(dns_names.refuse_special_use, name).code == "special_use"


def test_a_directory_below_local_may_have_its_own_servers() -> None:
    assert dns_names.parse_dns_domain("Corp.Local") == "corp.local"
    assert dns_names.parse_dns_domain("1.10.in-addr.arpa") == "1.10.in-addr.arpa"
    for text in ("local", "localhost", "example.invalid", "in-addr.arpa", "ip6.arpa"):
        assert refusal(dns_names.parse_dns_domain, text).code == "special_use"


@pytest.mark.parametrize(
    ("text", "version", "code"),
    [
        ("fd12::9", 4, "wrong_family"),
        ("10.1.0.9", 6, "wrong_family"),
        ("127.0.0.1", 4, "reserved"),
        ("169.254.169.254", 4, "reserved"),
        ("168.63.129.16", 4, "reserved"),
        ("fd20:ce::254", 6, "reserved"),
        ("::1", 6, "reserved"),
        ("fe80::1%eth0", 6, "zone"),
        ("010.1.0.9", 4, "leading_zero"),
        ("nas", 4, "not_an_address"),
    ],
)
def test_addresses_that_no_record_can_have(text: str, version: int, code: str) -> None:
    assert refusal(dns_names.parse_record_address, text, version).code == code
