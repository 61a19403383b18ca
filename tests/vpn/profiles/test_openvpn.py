"""The generated file: what it says, and that nothing can be smuggled into it."""

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given
from hypothesis import strategies as st

from vpn import keys, pki
from vpn.constants import DEFAULT_MTU
from vpn.profiles.openvpn import OpenVPNProfile, configuration_digest, filename, render

NOW = datetime.now(UTC)
AUTHORITY = pki.create_authority("fra VPN authority", NOW)
SERVER = pki.issue_server(AUTHORITY, "hub-1", NOW)
CLIENT = pki.issue_client(AUTHORITY, "0b5f2a3e-ada", NOW)
OTHER = pki.issue_client(AUTHORITY, "other", NOW)
SERVER_KEY = pki.tls_crypt_v2_server_key()
CLIENT_KEY = pki.tls_crypt_v2_client_key(SERVER_KEY)

PROFILE = OpenVPNProfile(
    name="fra: Ada's laptop",
    remotes=(("fra.vpn.example.net", 20001, "udp"), ("fra.vpn.example.net", 20001, "tcp")),
    ca=AUTHORITY.certificate,
    certificate=CLIENT.certificate,
    private_key=CLIENT.private_key,
    tls_crypt_v2=CLIENT_KEY,
    server_name="hub-1",
    route_all=True,
)
COMPAT = dataclasses.replace(
    PROFILE, remotes=(("fra.vpn.example.net", 20000, "tcp"),), tls_crypt_v2=None, route_all=False, compat=True
)

HOST = r"[0-9A-Za-z.:-]+"
# What a line may be: nothing else may stand in a profile. OpenVPN Connect reads each of them, or ignores it without
# harm (openvpn3, client/cliopt.hpp); openvpn knows all of them since 2.5.
DIRECTIVES = [
    r"client|nobind|persist-tun|dev tun|resolv-retry infinite|remote-cert-tls server|verb 3",
    r"remote " + HOST + r" [1-9][0-9]{0,4} (udp|tcp)|verify-x509-name [A-Za-z0-9._-]{1,64} name",
    r"connect-retry [0-9]+ [0-9]+|connect-timeout [0-9]+|tun-mtu 1[0-9]{3}|redirect-gateway def1 ipv6",
    r"tls-version-(min|max) 1\.2|data-ciphers [A-Z0-9:-]+|cipher AES-256-CBC|auth SHA1",
]
LINE = re.compile("|".join(DIRECTIVES))
PEM = re.compile(
    r"-----BEGIN (?P<title>[A-Za-z0-9 -]+)-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64}\n-----END (?P=title)-----"
)
TITLES = {
    "ca": "CERTIFICATE",
    "cert": "CERTIFICATE",
    "key": "PRIVATE KEY",
    "tls-crypt-v2": "OpenVPN tls-crypt-v2 client key",
}
HOSTILE = [
    "x\nup /bin/sh",
    "x\r\nscript-security 3",
    "x\u2028up y",
    "x\x85up y",
    "x\x0bup y",
    "</ca>\nup y",
    'x" up y',
    "OVPN_ACCESS_SERVER_AUTOLOGIN=1",
    "x\\\nup y",
]

hostile = (
    st.sampled_from(HOSTILE)
    | st.text(max_size=60)
    | st.text(alphabet="\r\n\x0b\x0c\x85\u2028\x00 #;<>/=\\\"'acup$(`é", max_size=60)
)
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True)
hosts = st.ip_addresses().map(str) | st.lists(labels, min_size=1, max_size=4).map(".".join)
remotes = st.lists(
    st.tuples(hosts, st.integers(1, 65535), st.sampled_from(["udp", "tcp"])), min_size=1, max_size=4
).map(tuple)


def parse(text: str) -> tuple[list[str], dict[str, str]]:
    """Read a profile strictly, (directives, inline parts): any line out of place is an error."""
    assert text.isascii()
    assert text.endswith("\n")
    directives: list[str] = []
    parts: dict[str, str] = {}
    lines = iter(text[:-1].split("\n"))
    for number, line in enumerate(lines):
        if opened := re.fullmatch(r"<([a-z0-9-]+)>", line):
            assert opened[1] not in parts
            inside = []
            while (line := next(lines)) != f"</{opened[1]}>":
                inside.append(line)
            parts[opened[1]] = "\n".join(inside)
        elif line.startswith("#"):
            assert number == 0
            assert re.fullmatch(r"# Profile: [!-~]([ -~]{0,78}[!-~])?", line)
        else:
            assert not parts, "directives come first"
            assert LINE.fullmatch(line), repr(line)
            assert line not in directives
            directives.append(line)
    for name, part in parts.items():
        found = PEM.fullmatch(part)
        assert found, name
        assert found["title"] == TITLES[name]
    return directives, parts


def test_the_whole_file() -> None:
    assert render(PROFILE) == (
        "# Profile: fra: Ada's laptop\n"
        "client\n"
        "dev tun\n"
        "nobind\n"
        "persist-tun\n"
        "remote fra.vpn.example.net 20001 udp\n"
        "remote fra.vpn.example.net 20001 tcp\n"
        "connect-retry 1 8\n"
        "connect-timeout 10\n"
        "resolv-retry infinite\n"
        "remote-cert-tls server\n"
        "verify-x509-name hub-1 name\n"
        f"tun-mtu {DEFAULT_MTU}\n"
        "tls-version-min 1.2\n"
        "data-ciphers AES-256-GCM:CHACHA20-POLY1305\n"
        "redirect-gateway def1 ipv6\n"
        "verb 3\n"
        f"<ca>\n{AUTHORITY.certificate}</ca>\n"
        f"<cert>\n{CLIENT.certificate}</cert>\n"
        f"<key>\n{CLIENT.private_key}</key>\n"
        f"<tls-crypt-v2>\n{CLIENT_KEY}</tls-crypt-v2>\n"
    )


def test_what_compatibility_changes() -> None:
    directives, parts = parse(render(COMPAT))
    plain, _ = parse(render(dataclasses.replace(PROFILE, route_all=False)))
    assert set(directives) - set(plain) == {
        "remote fra.vpn.example.net 20000 tcp",
        "tls-version-max 1.2",
        "cipher AES-256-CBC",
        "data-ciphers AES-256-CBC",
        "auth SHA1",
    }
    assert list(parts) == ["ca", "cert", "key"]


@given(hostile, remotes, st.booleans(), st.integers(1280, 1500))
def test_every_profile_reads_back_as_what_it_was_made_of(
    name: str, some: tuple[tuple[str, int, str], ...], route_all: bool, mtu: int
) -> None:
    some = tuple(dict.fromkeys(some))
    profile = dataclasses.replace(PROFILE, name=name, remotes=some, route_all=route_all, mtu=mtu)
    directives, parts = parse(render(profile))
    found = [line.split(" ")[1:] for line in directives if line.startswith("remote ")]
    assert [(host, int(port), protocol) for host, port, protocol in found] == list(some)
    # openvpn up to 2.5 refuses it beside a remote over TCP.
    assert "explicit-exit-notify" not in directives
    assert ("redirect-gateway def1 ipv6" in directives) == route_all
    assert f"tun-mtu {mtu}" in directives
    assert parts == {
        "ca": AUTHORITY.certificate.strip(),
        "cert": CLIENT.certificate.strip(),
        "key": CLIENT.private_key.strip(),
        "tls-crypt-v2": CLIENT_KEY.strip(),
    }


@given(hostile)
@example("\n".join(HOSTILE))
def test_no_name_changes_more_than_the_comment(name: str) -> None:
    text = render(dataclasses.replace(PROFILE, name=name))
    parse(text)
    assert text[text.index("client\ndev tun\n") :] == render(PROFILE)[len("# Profile: fra: Ada's laptop\n") :]


def test_the_name_is_one_plain_comment_that_no_program_obeys() -> None:
    for name, comment in {
        "Büro Köln": "# Profile: Buro Koln\n",
        "x\nup /bin/sh": "# Profile: x up /bin/sh\n",
        "OVPN_ACCESS_SERVER_AUTOLOGIN=1": "# Profile: OVPN_ACCESS_SERVER_AUTOLOGIN=1\n",
        "東京": "",
        "": "",
        "x" * 500: "# Profile: " + "x" * 80 + "\n",
    }.items():
        assert render(dataclasses.replace(PROFILE, name=name)).split("client\n")[0] == comment


def rsa_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"remotes": ((host, 1, "udp"),)}
            for host in (*HOSTILE, "", "a b", "a#b", "a.", "-a", "fe80::1%eth0", "[::1]")
        ),
        *({"remotes": (("a.example", 1, protocol),)} for protocol in ("udp6", "tcp-client", "udp\nup y", "")),
        *({"remotes": (("a.example", port, "udp"),)} for port in (0, 65536, "1", "1\nup y", True, 1.0)),
        {"remotes": ()},
        {"remotes": ((".".join(["a" * 60] * 4), 20001, "udp"),)},
        *({"server_name": name} for name in (*HOSTILE, "", "a b", "hub-1 name", "x" * 65)),
        *({"mtu": mtu} for mtu in (1279, 1501, "1420", "1420\nup y", True)),
        *({"ca": text} for text in ("", "x", AUTHORITY.certificate * 2, AUTHORITY.certificate + "</ca>\nup y\n<ca>")),
        {"ca": "up y\n" + AUTHORITY.certificate},
        {"ca": AUTHORITY.certificate.replace("\n", "\r\n")},
        *({"certificate": text} for text in ("", OTHER.certificate, CLIENT.certificate + "\nup y")),
        *({"private_key": text} for text in ("", None, OTHER.private_key, CLIENT.private_key + "up y")),
        {"private_key": rsa_key()},
        {"private_key": keys.generate_private_key()},
        *({"tls_crypt_v2": text} for text in ("", None, SERVER_KEY, CLIENT_KEY + "up y", CLIENT_KEY * 2, "up y")),
        {"compat": True},
        {"compat": True, "tls_crypt_v2": None},  # still over UDP
        {"compat": True, "remotes": COMPAT.remotes},  # still with tls-crypt-v2
    ],
)
def test_a_value_that_does_not_belong_in_its_place_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        render(dataclasses.replace(PROFILE, **changes))
    for secret in (CLIENT.private_key, CLIENT_KEY):
        assert secret.split("\n")[1] not in str(refused.value)


@given(st.sampled_from(["ca", "certificate", "private_key", "tls_crypt_v2"]), hostile, st.integers(0, 2000))
def test_nothing_can_be_put_into_a_pem(where: str, extra: str, at: int) -> None:
    text = getattr(PROFILE, where)
    changed = text[:at] + extra + text[at:]
    try:
        rendered = render(dataclasses.replace(PROFILE, **{where: changed}))
    except ValueError:
        return
    assert rendered == render(PROFILE)


def test_repr_shows_no_secret() -> None:
    assert CLIENT.private_key.split("\n")[1] not in repr(PROFILE)
    assert CLIENT_KEY.split("\n")[1] not in repr(PROFILE)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"remotes": (("203.0.113.5", 20001, "udp"), ("2001:db8::5", 20001, "tcp"))},
        {"private_key": None},
        {"tls_crypt_v2": ""},
        {"ca": AUTHORITY.certificate.strip()},
    ],
)
def test_what_needs_no_new_profile_leaves_the_digest(changes: dict[str, Any]) -> None:
    assert configuration_digest(dataclasses.replace(PROFILE, **changes)) == configuration_digest(PROFILE)


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": OTHER.certificate},
        {"ca": pki.create_authority("fra VPN authority", NOW).certificate},
        {"remotes": PROFILE.remotes[:1]},
        {"remotes": tuple(reversed(PROFILE.remotes))},
        {"remotes": (("fra.vpn.example.net", 20003, "udp"), PROFILE.remotes[1])},
        {"server_name": "hub-2"},
        {"route_all": False},
        {"mtu": 1400},
        {"compat": True},
    ],
)
def test_what_the_device_must_learn_changes_the_digest(changes: dict[str, Any]) -> None:
    assert configuration_digest(dataclasses.replace(PROFILE, **changes)) != configuration_digest(PROFILE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fra: Ada's laptop", "fra-ada-s-laptop.ovpn"),
        ("Büro Köln", "buro-koln.ovpn"),
        ("../../etc/passwd", "etc-passwd.ovpn"),
        ("東京", "backup.ovpn"),
        ("..", "backup.ovpn"),
        ("CON", "vpn-con.ovpn"),
        ("x" * 100, "x" * 40 + ".ovpn"),
    ],
)
def test_file_names(name: str, expected: str) -> None:
    assert filename(name, fallback="backup") == expected


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_file_name_is_plain(name: str, fallback: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?\.ovpn", filename(name, "2x7", fallback))
    assert filename(name, "2x7", fallback).endswith("-2x7.ovpn")
