"""Keys of the control channel: read back by code of the test's own, which reads openvpn's just so, and connected."""

import hashlib
import hmac
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.bare_openvpn import UP, Wire, wire
from vpn import pki
from vpn.pki import CLIENT_KEY_TITLE, SERVER_KEY_TITLE, decode_tls_crypt_v2

NOW = datetime.now(UTC)
SERVER_KEY = pki.tls_crypt_v2_server_key()
CLIENT_KEY = pki.tls_crypt_v2_client_key(SERVER_KEY)


def unwrapped(client_key: str, server_key: str) -> tuple[bytes, bytes, bytes]:
    """(Kc, the same as the server opens it, metadata), step by step as tls-crypt-v2.txt has it."""
    raw = decode_tls_crypt_v2(client_key, CLIENT_KEY_TITLE)
    secret = decode_tls_crypt_v2(server_key, SERVER_KEY_TITLE)
    own, wrapped = raw[:256], raw[256:]
    tag, encrypted, length = wrapped[:32], wrapped[32:-2], wrapped[-2:]
    assert struct.unpack("!H", length) == (len(wrapped),)
    opened = Cipher(algorithms.AES256(secret[:32]), modes.CTR(tag[:16])).decryptor().update(encrypted)
    assert hmac.new(secret[64:96], length + opened, hashlib.sha256).digest() == tag
    return own, opened[:256], opened[256:]


def genkey(directory: Path, kind: str, *more: str) -> str:
    """A key that openvpn makes."""
    command = ["openvpn", *more, "--genkey", kind, str(directory / kind)]
    subprocess.run(command, check=True, capture_output=True)
    return (directory / kind).read_text()


def openvpns_client_key(directory: Path, server_key: str) -> str:
    (directory / "server.key").write_text(server_key)
    return genkey(directory, "tls-crypt-v2-client", "--tls-crypt-v2", str(directory / "server.key"))


def test_the_wrapped_key_is_the_clients_own_and_says_when_it_was_made() -> None:
    before = int(time.time())
    own, opened, metadata = unwrapped(pki.tls_crypt_v2_client_key(SERVER_KEY), SERVER_KEY)
    assert own == opened
    kind, made = struct.unpack("!BQ", metadata)
    assert kind == 1
    assert before <= made <= time.time()


def test_openvpns_keys_read_the_same(tmp_path: Path) -> None:
    for server_key in (genkey(tmp_path, "tls-crypt-v2-server"), SERVER_KEY):
        theirs = openvpns_client_key(tmp_path, server_key)
        ours = pki.tls_crypt_v2_client_key(server_key)
        for client_key in (theirs, ours):
            own, opened, metadata = unwrapped(client_key, server_key)
            assert own == opened
            assert len(metadata) == 9
            assert metadata[0] == 1
        assert len(ours) == len(theirs.rstrip("\n")) + 1


def test_keys_differ() -> None:
    assert pki.tls_crypt_v2_server_key() != SERVER_KEY
    again = pki.tls_crypt_v2_client_key(SERVER_KEY)
    assert unwrapped(again, SERVER_KEY)[0] != unwrapped(CLIENT_KEY, SERVER_KEY)[0]


def test_a_key_of_another_kind_or_length_is_refused() -> None:
    short = "\n".join(SERVER_KEY.split("\n")[:2] + SERVER_KEY.split("\n")[-2:])
    for wrong in (CLIENT_KEY, "", short, SERVER_KEY + "x", SERVER_KEY.replace("\n", "\r\n"), SERVER_KEY * 2):
        with pytest.raises(ValueError, match=r".") as refused:
            pki.tls_crypt_v2_client_key(wrong)
        assert SERVER_KEY.split("\n")[1] not in str(refused.value)


@given(st.text(max_size=100), st.integers(0, 10), st.integers(0, 10))
def test_nothing_can_stand_in_or_around_a_key(extra: str, line: int, column: int) -> None:
    lines = CLIENT_KEY.split("\n")
    lines[line] = lines[line][:column] + extra + lines[line][column:]
    try:
        decode_tls_crypt_v2("\n".join(lines), CLIENT_KEY_TITLE)
    except ValueError:
        return
    assert "\n".join(lines).strip() == CLIENT_KEY.strip()


@given(st.text())
def test_any_other_text_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="This is no"):
        decode_tls_crypt_v2(text, CLIENT_KEY_TITLE)


# With openvpn itself.


@pytest.fixture(scope="module")
def lab() -> Iterator[Wire]:
    with wire() as made:
        yield made


def client_text(lab: Wire, authority: pki.Credential, tls_crypt_v2: str) -> str:
    own = pki.issue_client(authority, "ada", NOW)
    inline = {"ca": authority.certificate, "cert": own.certificate, "key": own.private_key}
    inline["tls-crypt-v2"] = tls_crypt_v2
    lines = ["client", "dev tun", "nobind", f"remote {lab.server_host} 20001 udp", "remote-cert-tls server"]
    return "\n".join([*lines, *(f"<{name}>\n{text}\n</{name}>" for name, text in inline.items())]) + "\n"


@pytest.mark.network
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("server_key_from", ["us", "openvpn"])
def test_openvpn_connects_with_our_key_and_with_its_own(lab: Wire, server_key_from: str, tmp_path: Path) -> None:
    server_key = SERVER_KEY if server_key_from == "us" else genkey(tmp_path, "tls-crypt-v2-server")
    authority = pki.create_authority("fra", NOW)
    server = pki.issue_server(authority, "hub-1", NOW)
    foreign = pki.tls_crypt_v2_client_key(pki.tls_crypt_v2_server_key())
    with lab.server(authority, server, tls_crypt_v2=server_key) as running:
        for client_key in (pki.tls_crypt_v2_client_key(server_key), openvpns_client_key(tmp_path, server_key)):
            with lab.connecting(client_text(lab, authority, client_key)) as client:
                client.wait()
                assert lab.reaches_hub()
        with lab.connecting(client_text(lab, authority, foreign)) as client:
            running.wait("(?i)tls-crypt-v2.*(authentication|unwrap|error)")
            assert not client.said(UP)
