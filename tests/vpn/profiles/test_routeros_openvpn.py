"""OpenVPN on RouterOS 7 and 6: certificates, the client, routes, and that none of it doubles or stays behind."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings

from tests.routeros.language import ScriptError
from tests.routeros.router import Router
from tests.vpn.profiles.router_samples import REMOTE, ROUTER, TAG, WIREGUARD, hostile, openvpn
from tests.vpn.profiles.test_routeros_wireguard import THEIRS, numbers
from vpn.profiles import routeros_openvpn
from vpn.profiles.router import ProfileFile
from vpn.profiles.routeros_wireguard import wireguard

VERSIONS = ["7.12", "7.16.2", "7.17", "7.19.6", "7.20.6", "7.21.1", "6.49.17"]
THEIRS_6 = "\n".join(line for line in THEIRS.splitlines() if "/ipv6" not in line)


def files(version: str, **changes: Any) -> tuple[ProfileFile, ...]:
    profile = dataclasses.replace(openvpn(compat=True), **changes)
    router = dataclasses.replace(ROUTER, version=version)
    return routeros_openvpn.openvpn(profile, router, REMOTE, major=numbers(version)[0]).files


def made(version: str, **changes: Any) -> Router:
    router = Router(numbers(version))
    router.run(THEIRS if numbers(version) >= (7,) else THEIRS_6)
    router.run(files(version, **changes)[0].content)
    return router


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        ("6.49.17", "aes256"),
        ("7.12", "aes256-cbc"),
        ("7.16.2", "aes256-cbc"),
        ("7.17", "aes256-gcm"),
        ("7.19.6", "aes256-gcm"),
        ("7.21.1", "aes256-gcm"),
    ],
)
def test_the_client(version: str, cipher: str) -> None:
    (client,) = made(version).rows("/interface ovpn-client")
    assert (client["connect-to"], client["port"], client["name"]) == ("fra.vpn.example.net", "20000", TAG)
    assert client["user"]
    assert client["password"]
    assert (client["cipher"], client["auth"], client["mode"]) == (cipher, "sha1", "ip")
    assert (client["certificate"], client["verify-server-certificate"]) == (f"{TAG}-client", "yes")
    assert client.get("protocol") == (None if version.startswith("6") else "tcp")
    assert (client["disabled"], client["add-default-route"]) == ("no", "no")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_certificates(version: str) -> None:
    router = made(version)
    profile = openvpn(compat=True)
    authority, client = sorted(router.rows("/certificate"), key=lambda row: row["name"])
    assert (authority["name"], authority["pem"], authority["trusted"]) == (f"{TAG}-ca", profile.ca, "yes")
    assert (client["name"], client["pem"], client["trusted"]) == (f"{TAG}-client", profile.certificate, "no")
    assert client["private-key"] == profile.private_key
    assert authority.get("trust-store") == ("ovpn" if numbers(version) >= (7, 21) else None)
    assert not router.rows("/file")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_import_changes_nothing(version: str) -> None:
    router = made(version)
    once = router.configuration()
    router.run(files(version)[0].content)
    assert router.configuration() == once


@pytest.mark.parametrize("version", VERSIONS)
def test_a_renewed_certificate_takes_the_old_ones_place(version: str) -> None:
    router = made(version)
    openvpn.cache_clear()
    router.run(files(version)[0].content)
    assert router.configuration() == made(version).configuration()
    assert len(router.rows("/certificate")) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_the_removal_removes_exactly_ours(version: str) -> None:
    before = Router(numbers(version))
    before.run(THEIRS if numbers(version) >= (7,) else THEIRS_6)
    router = made(version)
    router.run(files(version)[1].content)
    assert router.configuration() == before.configuration()


def test_an_import_that_was_cut_short_is_made_good_by_the_next() -> None:
    for version in ("6.49.17", "7.17"):
        lines = files(version)[0].content.splitlines(keepends=True)
        for length in range(len(lines)):
            router = Router(numbers(version))
            router.run("".join(lines[:length]))
            router.run("".join(lines))
            whole = Router(numbers(version))
            whole.run("".join(lines))
            assert router.configuration() == whole.configuration(), length
            router.run(files(version)[1].content)
            assert router.configuration() == {}


def test_routes_are_the_hubs_business_on_7_and_written_down_on_6() -> None:
    seven = [row for row in made("7.17").rows("/ip route") if row["gateway"] == TAG]
    assert seven == []
    six = [row["dst-address"] for row in made("6.49.17").rows("/ip route") if row["gateway"] == TAG]
    assert six == ["100.64.0.0/20", "10.2.0.0/24"]


def test_a_peer_that_changes_its_protocol_leaves_nothing_behind() -> None:
    over_wireguard = wireguard(WIREGUARD, dataclasses.replace(ROUTER, version="7.17")).files[0].content
    router = made("7.17")
    router.run(over_wireguard)
    assert not router.rows("/interface ovpn-client")
    assert not router.rows("/certificate")
    router.run(files("7.17")[0].content)
    assert router.configuration() == made("7.17").configuration()


@settings(max_examples=40, deadline=None)
@given(hostile)
def test_no_name_changes_more_than_the_comments(name: str) -> None:
    for version in ("6.49.17", "7.17"):
        plain, strange = made(version).configuration(), made(version, name=name).configuration()
        assert list(plain) == list(strange)
        for menu, rows in plain.items():
            for row, other in zip(rows, strange[menu], strict=True):
                assert row | {"comment": ""} == other | {"comment": ""}


CLIENT_KEY = openvpn(compat=True).private_key or ""


@pytest.mark.parametrize(
    "changes",
    [
        {"remotes": (('evil" x="', 1194, "tcp"),)},
        {"remotes": (("fra.vpn.example.net", 0, "tcp"),)},
        {"remotes": (("fra.vpn.example.net", 1194, "udp"),)},
        {"ca": ""},
        {"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"certificate": openvpn(compat=True).certificate * 2},
        {"certificate": openvpn(compat=True).certificate + '"; /system reboot'},
        {"private_key": CLIENT_KEY.replace("BEGIN", "START")},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"compat": False},
    ],
)
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        files("7.17", **changes)
    assert CLIENT_KEY not in str(refused.value)


def test_the_version_must_be_of_the_routeros_that_is_asked_for() -> None:
    with pytest.raises(ValueError, match="another RouterOS"):
        routeros_openvpn.openvpn(openvpn(compat=True), dataclasses.replace(ROUTER, version="6.49"), major=7)


@pytest.mark.parametrize(
    ("major", "version"), [(6, ""), (7, ""), *((numbers(version)[0], version) for version in VERSIONS)]
)
def test_a_script_goes_on_working_after_an_upgrade(major: int, version: str) -> None:
    router = dataclasses.replace(ROUTER, version=version)
    script = routeros_openvpn.openvpn(openvpn(compat=True), router, REMOTE, major=major).files[0].content
    for newer in VERSIONS:
        if numbers(newer)[0] == major and (not version or numbers(newer) >= numbers(version)):
            Router(numbers(newer)).run(script)


@pytest.mark.parametrize(
    ("version", "line", "known"),
    [
        ("7.19.6", f'/certificate set [/certificate find where name="{TAG}-ca"] trust-store=ovpn', False),
        ("7.21.1", f'/certificate set [/certificate find where name="{TAG}-ca"] trust-store=ovpn', True),
        ("7.21.1", "/interface ovpn-client add name=x connect-to=x user=x password=x tls-crypt=x", False),
        ("7.19.6", "/interface ovpn-client add name=x connect-to=x user=x password=x tls-auth=x", False),
        ("7.19.6", "/interface ovpn-client add name=x connect-to=x user=x password=x auth=sha384", False),
        ("7.20.6", "/interface ovpn-client add name=x connect-to=x user=x password=x auth=sha384", True),
        ("7.19.6", "/ip route add dst-address=192.0.2.0/24 gateway=bridge pref-src=192.0.2.1", True),
        ("7.19.6", "/ipv6 route add dst-address=2001:db8::/32 gateway=bridge pref-src=2001:db8::1", False),
        ("7.19.6", "/ip firewall nat add chain=srcnat action=accept connection-state=new", False),
        ("7.19.6", "/interface wireguard add name=x vrf=main", False),
        ("7.21.1", "/interface wireguard add name=x vrf=main", True),
        ("7.16.2", "/interface wireguard peers set [/interface wireguard peers find where comment=x] name=x", False),
        ("7.19.6", "/interface wireguard peers set [/interface wireguard peers find where comment=x] name=x", True),
    ],
)
def test_what_a_version_does_not_have_is_not_known_to_it(version: str, line: str, known: bool) -> None:
    router = made(version)
    with contextlib.nullcontext() if known else pytest.raises(ScriptError):
        router.run(line + "\n")
