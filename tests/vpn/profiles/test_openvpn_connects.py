"""Stock openvpn reads the generated file, and connects with it."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.lab.bare_openvpn import UP, Wire, wire
from vpn import pki
from vpn.profiles.openvpn import OpenVPNProfile, render

NOW = datetime.now(UTC)
AUTHORITY = pki.create_authority("fra VPN authority", NOW)
SERVER = pki.issue_server(AUTHORITY, "hub-1", NOW)
CLIENT = pki.issue_client(AUTHORITY, "0b5f2a3e-ada", NOW)
SERVER_KEY = pki.tls_crypt_v2_server_key()

PROFILE = OpenVPNProfile(
    name="fra: Ada's laptop",
    remotes=(),
    ca=AUTHORITY.certificate,
    certificate=CLIENT.certificate,
    private_key=CLIENT.private_key,
    tls_crypt_v2=pki.tls_crypt_v2_client_key(SERVER_KEY),
    server_name="hub-1",
    route_all=True,
)
COMPAT = dataclasses.replace(PROFILE, tls_crypt_v2=None, route_all=False, compat=True)

hostile = st.text(max_size=60) | st.text(alphabet="\r\n\x0b\x0c\x85\u2028\x00 #;<>/=\\\"'acup$(`é", max_size=60)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture(scope="module")
def lab() -> Iterator[Wire]:
    with wire() as made:
        yield made


def at(lab: Wire, port: int, *protocols: str) -> tuple[tuple[str, int, str], ...]:
    return tuple((lab.server_host, port, protocol) for protocol in protocols)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=hostile, compat=st.booleans())
@example(name="x\nup /bin/sh\r\n</tls-crypt-v2>\nscript-security 3", compat=False)
def test_openvpn_reads_the_file_with_all_its_keys(name: str, compat: bool, tmp_path: Path) -> None:
    # Nothing listens on that port, so that openvpn gives up as soon as it has read everything.
    base = COMPAT if compat else PROFILE
    file = tmp_path / "profile.ovpn"
    file.touch(0o600)
    file.write_text(render(dataclasses.replace(base, name=name, remotes=(("127.0.0.1", 1, "tcp"),))))
    command = ["openvpn", "--config", str(file), "--dev", "null", "--remap-usr1", "SIGTERM"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert "Options error" not in done.stdout
    assert "connect to [AF_INET]127.0.0.1:1 failed: Connection refused" in done.stdout, done.stdout


def test_openvpn_takes_the_longest_line_that_is_rendered(tmp_path: Path) -> None:
    host = ".".join(["a" * 59] * 3 + ["a" * 57])
    with pytest.raises(ValueError, match="254 characters"):
        render(dataclasses.replace(PROFILE, remotes=((host + "aa", 20001, "tcp"),)))
    text = render(dataclasses.replace(PROFILE, remotes=((host, 20001, "tcp"),)))
    assert max(len(line) for line in text.split("\n")) == 254
    file = tmp_path / "profile.ovpn"
    file.touch(0o600)
    file.write_text(text)
    done = subprocess.run(["openvpn", "--config", file, "--show-ciphers"], capture_output=True, text=True)
    assert "error" not in done.stdout.lower()
    assert done.returncode == 0


@pytest.mark.network
@needs_root
@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_openvpn_connects_by_udp_and_where_that_fails_by_tcp(lab: Wire, proto: str) -> None:
    text = render(dataclasses.replace(PROFILE, remotes=at(lab, 20001, "udp", "tcp")))
    with (
        lab.server(AUTHORITY, SERVER, tls_crypt_v2=SERVER_KEY, proto=proto),
        # A silent UDP port is given up after ten seconds; the test is less patient.
        lab.connecting(text, *(["--connect-timeout", "1"] if proto == "tcp" else [])) as client,
    ):
        client.wait()
        assert client.said("TCPv4_CLIENT link remote") == (proto == "tcp")
        assert client.said("cipher 'AES-256-GCM'")
        assert lab.reaches_hub()
        for family in ("-4", "-6"):
            far = "198.51.100.10" if family == "-4" else "2001:db8:51::10"
            assert "dev tun0" in lab.lab.run(lab.client, ["ip", family, "route", "get", far]).stdout


@pytest.mark.network
@needs_root
def test_a_user_and_a_password_that_nobody_asks_for_are_no_obstacle(lab: Wire, tmp_path: Path) -> None:
    # Synology's DSM demands both for every profile.
    told = tmp_path / "told"
    told.touch(0o600)
    told.write_text("anybody\nanything\n")
    text = render(dataclasses.replace(PROFILE, remotes=at(lab, 20001, "udp")))
    with (
        lab.server(AUTHORITY, SERVER, tls_crypt_v2=SERVER_KEY, proto="udp"),
        lab.connecting(text, "--auth-user-pass", str(told)) as client,
    ):
        client.wait()
        assert lab.reaches_hub()


@pytest.mark.network
@needs_root
def test_openvpn_connects_in_compatibility_mode(lab: Wire) -> None:
    text = render(dataclasses.replace(COMPAT, remotes=at(lab, 20000, "tcp")))
    with (
        lab.server(AUTHORITY, SERVER, port=20000, proto="tcp", compat=True) as server,
        lab.connecting(text) as client,
    ):
        client.wait()
        assert client.said("cipher 'AES-256-CBC'")
        assert server.said("Control Channel: TLSv1.2")
        assert server.said("SHA1")
        assert lab.reaches_hub()


@pytest.mark.network
@needs_root
def test_openvpn_turns_away_from_a_hub_of_another_name(lab: Wire) -> None:
    text = render(dataclasses.replace(PROFILE, remotes=at(lab, 20001, "udp"), server_name="hub-2"))
    with lab.server(AUTHORITY, SERVER, tls_crypt_v2=SERVER_KEY), lab.connecting(text) as client:
        client.wait("VERIFY X509NAME ERROR")
        assert not client.said(UP)
