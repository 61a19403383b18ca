"""The generated file: its content, that no value can add a line, and that the real tools accept it."""

import dataclasses
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.naming import ascii_text
from vpn import keys
from vpn.profiles.wireguard import WireGuardProfile, configuration_digest, filename, render

PRIVATE_KEY = keys.generate_private_key()
PRESHARED_KEY = keys.generate_preshared_key()
HUB_KEY = keys.public_key(keys.generate_private_key())

PROFILE = WireGuardProfile(
    name="Ada's laptop",
    private_key=PRIVATE_KEY,
    public_key=keys.public_key(PRIVATE_KEY),
    addresses=(IPv4Interface("100.64.0.2/32"), IPv6Interface("fd12:3456:789a::2/128")),
    dns=(ip_address("9.9.9.9"), ip_address("149.112.112.112")),
    mtu=1420,
    hub_public_key=HUB_KEY,
    preshared_key=PRESHARED_KEY,
    endpoint_host="fra.vpn.example.net",
    endpoint_port=20000,
    allowed_ips=(IPv4Network("0.0.0.0/0"), IPv6Network("::/0")),
)

Sections = list[tuple[str, dict[str, str]]]

# The lines that a profile may have.
LINE = re.compile(
    r"(?P<section>\[(Interface|Peer)\])|(?P<comment># [ -~]*)|(?P<key>[A-Za-z]+) = (?P<value>[!-~][ -~]*)|"
)

raw_keys = st.binary(min_size=32, max_size=32).map(keys.encode_key)
v4_networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False), st.ip_addresses(v=4), st.integers(0, 32)
)
v6_networks = st.builds(
    lambda address, prefix: IPv6Network((address, prefix), strict=False), st.ip_addresses(v=6), st.integers(0, 128)
)
hostile = st.text(max_size=60) | st.text(alphabet="\r\n\x0b\x0c\x85\u2028\x00 #=[]aPostUp;$(`é", max_size=60)
profiles = st.builds(
    WireGuardProfile,
    name=hostile,
    private_key=st.none() | raw_keys,
    public_key=raw_keys,
    addresses=st.tuples(st.ip_addresses(v=4).map(IPv4Interface), st.ip_addresses(v=6).map(IPv6Interface)),
    dns=st.lists(st.ip_addresses(), max_size=3).map(tuple),
    mtu=st.integers(1280, 1500),
    hub_public_key=raw_keys,
    preshared_key=st.none() | raw_keys,
    endpoint_host=st.ip_addresses().map(str),
    endpoint_port=st.integers(1, 65535),
    allowed_ips=st.lists(v4_networks | v6_networks, min_size=1, max_size=8).map(tuple),
    keepalive=st.integers(0, 65535),
    listen_port=st.none() | st.integers(1, 65535),
)


def parse(text: str) -> Sections:
    """Read a profile strictly: any line out of place, a repeated key or a stray character is an error."""
    assert text.isascii()
    assert text.endswith("\n")
    sections: Sections = []
    for line in text.split("\n"):
        found = LINE.fullmatch(line)
        assert found, repr(line)
        if found["section"]:
            sections.append((found["section"], {}))
        elif found["key"]:
            values = sections[-1][1]
            assert found["key"] not in values
            values[found["key"]] = found["value"]
    return sections


def split(text: str) -> list[str]:
    return text.split(", ") if text else []


def test_the_whole_file() -> None:
    assert render(PROFILE) == (
        "# Ada's laptop\n"
        "[Interface]\n"
        f"PrivateKey = {PRIVATE_KEY}\n"
        "Address = 100.64.0.2/32, fd12:3456:789a::2/128\n"
        "DNS = 9.9.9.9, 149.112.112.112\n"
        "MTU = 1420\n"
        "\n"
        "[Peer]\n"
        f"PublicKey = {HUB_KEY}\n"
        f"PresharedKey = {PRESHARED_KEY}\n"
        "AllowedIPs = 0.0.0.0/0, ::/0\n"
        "Endpoint = fra.vpn.example.net:20000\n"
        "PersistentKeepalive = 25\n"
    )


@given(profiles)
def test_every_profile_reads_back_as_what_it_was_made_of(profile: WireGuardProfile) -> None:
    (first, interface), (second, peer) = parse(render(profile))
    assert (first, second) == ("[Interface]", "[Peer]")
    assert interface.pop("PrivateKey", None) == profile.private_key
    assert tuple(ip_interface(text) for text in split(interface.pop("Address"))) == profile.addresses
    assert tuple(ip_address(text) for text in split(interface.pop("DNS", ""))) == profile.dns
    assert int(interface.pop("MTU")) == profile.mtu
    assert interface.pop("ListenPort", None) == (str(profile.listen_port) if profile.listen_port else None)
    assert peer.pop("PublicKey") == profile.hub_public_key
    assert peer.pop("PresharedKey", None) == profile.preshared_key
    assert tuple(ip_network(text) for text in split(peer.pop("AllowedIPs"))) == profile.allowed_ips
    host, _, port = peer.pop("Endpoint").rpartition(":")
    assert ip_address(host.strip("[]")) == ip_address(profile.endpoint_host)
    assert host.startswith("[") == (":" in profile.endpoint_host)
    assert int(port) == profile.endpoint_port
    assert int(peer.pop("PersistentKeepalive", "0")) == profile.keepalive
    assert not interface
    assert not peer


def test_search_domains_stand_behind_the_servers() -> None:
    profile = dataclasses.replace(PROFILE, search_domains=("fra.vpn.example.net", "_msdcs.corp.example"))
    (_, interface), _ = parse(render(profile))
    assert interface["DNS"] == "9.9.9.9, 149.112.112.112, fra.vpn.example.net, _msdcs.corp.example"


@given(st.one_of(hostile, st.from_regex(r"[0-9.:]+", fullmatch=True), st.text(alphabet="aZ09.-_,: \n")))
def test_a_search_domain_can_be_nothing_but_a_name(name: str) -> None:
    profile = dataclasses.replace(PROFILE, search_domains=(name,))
    try:
        (_, interface), _ = parse(render(profile))
    except ValueError:
        return
    assert split(interface["DNS"])[2:] == [name]
    # What wg-quick takes for an address.
    assert not re.fullmatch(r"[0-9.]+|.*:.*", name)


@given(hostile, hostile)
def test_no_name_changes_more_than_the_comment(one: str, other: str) -> None:
    texts = [render(dataclasses.replace(PROFILE, name=name)) for name in (one, other)]
    for text in texts:
        parse(text)
        assert len(re.findall(r"^\[", text, re.MULTILINE)) == 2
    assert texts[0][texts[0].index("[Interface]\n") :] == texts[1][texts[1].index("[Interface]\n") :]


@pytest.mark.parametrize(
    ("name", "comment"),
    [
        ("Büro Köln", "# Buro Koln\n"),
        ("x\n[Peer]\nEndpoint = evil:1", "# x [Peer] Endpoint = evil:1\n"),
        ("x\r\nPostUp = reboot", "# x PostUp = reboot\n"),
        ("東京", ""),
        ("", ""),
        ("x" * 500, "# " + "x" * 80 + "\n"),
    ],
)
def test_the_name_is_one_plain_comment(name: str, comment: str) -> None:
    assert render(dataclasses.replace(PROFILE, name=name)).split("[Interface]")[0] == comment


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": PRIVATE_KEY + "\nPostUp = reboot"},
        {"private_key": ""},
        {"hub_public_key": HUB_KEY + " "},
        {"preshared_key": "none"},
        {"endpoint_host": "evil\nPostUp = reboot"},
        {"endpoint_host": "a b"},
        {"endpoint_host": "a#b"},
        {"endpoint_host": "fra.vpn.example.net\n"},
        {"endpoint_host": ""},
        {"endpoint_host": "fe80::1%eth0"},
        {"endpoint_host": "fe80::1%\nPostUp = reboot"},
        {"endpoint_port": 0},
        {"endpoint_port": 65536},
        {"endpoint_port": "20000\nPostUp = reboot"},
        {"mtu": 1200},
        {"mtu": "1420\nPostUp = reboot"},
        {"mtu": True},
        {"keepalive": "25\nPostUp = reboot"},
        {"listen_port": "1\nPostUp = reboot"},
        {"dns": ("9.9.9.9\nPostUp = reboot",)},
        {"dns": (ip_address("fe80::1%x\nPostUp = reboot"),)},
        {"addresses": ("100.64.0.2/32\nPostUp = reboot",)},
        {"addresses": (IPv6Interface("fe80::1%x\nPostUp = reboot/64"),)},
        {"allowed_ips": ("0.0.0.0/0\nPostUp = reboot",)},
        {"addresses": ()},
        {"allowed_ips": ()},
    ],
)
def test_a_value_that_does_not_belong_on_its_line_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        render(dataclasses.replace(PROFILE, **changes))
    assert PRIVATE_KEY not in str(refused.value)


def test_a_key_that_stayed_on_the_device_leaves_a_place_for_it() -> None:
    text = render(dataclasses.replace(PROFILE, private_key=None))
    assert "PrivateKey" not in text
    assert "add the line with its private key here" in text
    assert parse(text)[0][1]["MTU"] == "1420"


def test_repr_shows_no_secret() -> None:
    assert PRIVATE_KEY not in repr(PROFILE)
    assert PRESHARED_KEY not in repr(PROFILE)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"endpoint_host": "203.0.113.5"},
        {"private_key": None},
        {"preshared_key": keys.generate_preshared_key()},
        {"allowed_ips": tuple(reversed(PROFILE.allowed_ips))},
    ],
)
def test_what_needs_no_new_profile_leaves_the_digest(changes: dict[str, Any]) -> None:
    assert configuration_digest(dataclasses.replace(PROFILE, **changes)) == configuration_digest(PROFILE)


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": HUB_KEY},
        {"hub_public_key": PROFILE.public_key},
        {"addresses": PROFILE.addresses[:1]},
        {"dns": tuple(reversed(PROFILE.dns))},
        {"mtu": 1400},
        {"endpoint_port": 20001},
        {"allowed_ips": PROFILE.allowed_ips[:1]},
        {"preshared_key": None},
        {"keepalive": 0},
        {"listen_port": 51820},
        {"search_domains": ("fra.vpn.example.net",)},
    ],
)
def test_what_the_device_must_learn_changes_the_digest(changes: dict[str, Any]) -> None:
    assert configuration_digest(dataclasses.replace(PROFILE, **changes)) != configuration_digest(PROFILE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fra", "fra.conf"),
        ("Büro Köln", "buro-koln.conf"),
        ("a-very-long-hostname", "a-very-long-hos.conf"),
        ("Ada's laptop #2", "ada-s-laptop-2.conf"),
        ("../../etc/passwd", "etc-passwd.conf"),
        ("..", "backup.conf"),
        ("東京", "backup.conf"),
        ("CON", "vpn-con.conf"),
        ("eth0", "vpn-eth0.conf"),
        ("default", "vpn-default.conf"),
    ],
)
def test_file_names(name: str, expected: str) -> None:
    assert filename(name, fallback="backup") == expected


def test_what_tells_peers_apart_is_kept_whole() -> None:
    assert filename("a-very-long-hostname", "2x7") == "a-very-long-2x7.conf"
    assert filename("fra", "1ekfzz") == "fra-1ekfzz.conf"


@given(st.text(max_size=40), st.text("abcdefghijklmnopqrstuvwxyz0123456789", max_size=11), st.text(max_size=40))
def test_every_file_name_is_an_interface_for_wg_quick(name: str, distinction: str, fallback: str) -> None:
    # The pattern is wg-quick(8)'s own.
    found = filename(name, distinction, fallback)
    assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}\.conf", found)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?\.conf", found)
    assert found.endswith(f"{distinction}.conf")


@given(st.text())
def test_ascii_text_is_one_printable_line(text: str) -> None:
    assert re.fullmatch(r"[ -~]*", ascii_text(text))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="wg-quick and network namespaces need root")


@pytest.fixture(scope="module")
def device() -> Iterator[tuple[str, str]]:
    """A WireGuard interface in a namespace of its own: (namespace, interface)."""
    suffix = secrets.token_hex(4)
    namespace, interface = f"profile-{suffix}", f"pr-{suffix}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    process: subprocess.Popen[bytes] | None = None
    control = Path(f"/var/run/wireguard/{interface}.sock")
    try:
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", "wireguard-go", "-f", interface],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while not control.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline, "wireguard-go did not start"
            time.sleep(0.01)
        yield namespace, interface
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=10)
        control.unlink(missing_ok=True)
        subprocess.run(["ip", "netns", "delete", namespace], check=True)


@pytest.mark.network
@needs_root
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(profile=profiles)
def test_the_real_tools_take_the_file(profile: WireGuardProfile, device: tuple[str, str], tmp_path: Path) -> None:
    # WireGuard leaves out a peer with its own key, so the two are real ones.
    profile = dataclasses.replace(profile, private_key=PRIVATE_KEY, hub_public_key=HUB_KEY)
    namespace, interface = device
    inside = ["nsenter", f"--net=/run/netns/{namespace}"]
    file = tmp_path / filename(profile.name)
    file.touch(0o600)
    file.write_text(render(profile))
    stripped = subprocess.run(["wg-quick", "strip", file], capture_output=True, text=True)
    assert stripped.returncode == 0, stripped.stderr
    plain = tmp_path / "plain"
    plain.touch(0o600)
    plain.write_text(stripped.stdout)
    done = subprocess.run([*inside, "wg", "setconf", interface, plain], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run([*inside, "wg", "show", interface, "dump"], capture_output=True, text=True, check=True)
    peer = shown.stdout.splitlines()[1].split("\t")
    assert peer[0] == HUB_KEY
    assert {str(ip_network(text)) for text in peer[3].split(",")} == {str(network) for network in profile.allowed_ips}
