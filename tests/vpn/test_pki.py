"""What the authority issues is what openssl and openvpn take, and what it revokes is what they refuse."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.bare_openvpn import Wire, wire
from vpn import pki
from vpn.pki import Credential, Revoked

NOW = datetime.now(UTC).replace(microsecond=0)
AUTHORITY = pki.create_authority("fra VPN authority", NOW)
SERVER = pki.issue_server(AUTHORITY, "hub-1", NOW)
CLIENT = pki.issue_client(AUTHORITY, "ada", NOW)
CRL = pki.revocation_list(AUTHORITY, [], 1, NOW)


def loaded(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate.encode())


def usages(credential: Credential) -> set[str]:
    usage = loaded(credential).extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(usage.value, name)}


def verified(
    directory: Path,
    credential: Credential,
    crl: str = CRL,
    *,
    authority: Credential = AUTHORITY,
    purpose: str = "sslclient",
    at: datetime = NOW,
) -> str:
    """Empty where openssl verifies the certificate, else what it says."""
    for name, text in {"ca": authority.certificate, "crl": crl, "cert": credential.certificate}.items():
        (directory / name).write_text(text)
    command = ["openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", "ca", "-CRLfile", "crl"]
    command += ["-purpose", purpose, "-attime", str(int(at.timestamp())), "cert"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_openssl_verifies_servers_and_clients_for_their_own_purpose_only(tmp_path: Path) -> None:
    assert verified(tmp_path, SERVER, purpose="sslserver") == ""
    assert verified(tmp_path, CLIENT, purpose="sslclient") == ""
    assert "unsuitable certificate purpose" in verified(tmp_path, SERVER, purpose="sslclient")
    assert "unsuitable certificate purpose" in verified(tmp_path, CLIENT, purpose="sslserver")


def test_openssl_refuses_what_is_revoked_and_only_that(tmp_path: Path) -> None:
    other = pki.issue_client(AUTHORITY, "ada", NOW)
    revoked = [Revoked(CLIENT.serial, NOW), Revoked(SERVER.serial, NOW)]
    crl = pki.revocation_list(AUTHORITY, revoked, 2, NOW)
    assert "certificate revoked" in verified(tmp_path, CLIENT, crl)
    assert "certificate revoked" in verified(tmp_path, SERVER, crl, purpose="sslserver")
    assert verified(tmp_path, other, crl) == ""


def test_certificates_are_backdated_and_end_in_time(tmp_path: Path) -> None:
    for credential, life, purpose in (
        (SERVER, pki.SERVER_LIFE, "sslserver"),
        (CLIENT, pki.CLIENT_LIFE, "sslclient"),
    ):
        early, late = NOW - timedelta(days=2), NOW + life
        assert pki.validity(credential.certificate) == (early, late)
        assert credential.not_after == late
        assert verified(tmp_path, credential, at=early, purpose=purpose) == ""
        assert verified(tmp_path, credential, at=late - timedelta(seconds=1), purpose=purpose) == ""
        assert "not yet valid" in verified(tmp_path, credential, at=early - timedelta(seconds=1), purpose=purpose)
        assert "expired" in verified(tmp_path, credential, at=late, purpose=purpose)


def test_the_authority_lives_twenty_years_and_signs_no_other_authority(tmp_path: Path) -> None:
    authority = loaded(AUTHORITY)
    assert authority.not_valid_before_utc == NOW - timedelta(days=2)
    assert authority.not_valid_after_utc == NOW.replace(year=NOW.year + 20)
    assert usages(AUTHORITY) == {"key_cert_sign", "crl_sign"}
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    # A leaf's own key signs nothing that anybody would take.
    forged = pki.issue_client(pki.load(CLIENT.certificate, CLIENT.private_key), "eve", NOW)
    (tmp_path / "chain").write_text(CLIENT.certificate)
    (tmp_path / "eve").write_text(forged.certificate)
    (tmp_path / "ca").write_text(AUTHORITY.certificate)
    command = ["openssl", "verify", "-CAfile", "ca", "-untrusted", "chain", "eve"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "invalid CA certificate" in done.stderr


def test_usages_are_those_that_every_client_asks_for() -> None:
    # OpenVPN Connect takes a server's key usage of 0x88 or 0xa0 and nothing else.
    assert usages(SERVER) == {"digital_signature", "key_agreement"}
    assert usages(CLIENT) == {"digital_signature"}
    for credential, purpose in ((SERVER, ExtendedKeyUsageOID.SERVER_AUTH), (CLIENT, ExtendedKeyUsageOID.CLIENT_AUTH)):
        extensions = loaded(credential).extensions
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_key_identifiers_lead_to_the_authority() -> None:
    own = loaded(AUTHORITY).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    crl = x509.load_pem_x509_crl(CRL.encode())
    for extensions in (loaded(SERVER).extensions, loaded(CLIENT).extensions, crl.extensions):
        found = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert found.key_identifier == own
    assert loaded(CLIENT).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest != own


def test_keys_are_of_p256_and_serials_random() -> None:
    issued = [pki.issue_client(AUTHORITY, "ada", NOW) for _ in range(50)]
    assert len({credential.serial for credential in issued}) == 50
    assert len({credential.private_key for credential in issued}) == 50
    assert all(0 < credential.serial < 2**128 for credential in issued)
    assert max(credential.serial for credential in issued).bit_length() > 120
    for credential in (AUTHORITY, SERVER, issued[0]):
        key = loaded(credential).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert loaded(credential).serial_number == credential.serial
        assert credential.private_key.startswith("-----BEGIN PRIVATE KEY-----\n")


def test_the_names_of_a_hub_stand_in_its_certificate() -> None:
    server = pki.issue_server(AUTHORITY, "hub-1", NOW, hosts=["fra.vpn.example.net", "203.0.113.1", "2001:db8::1"])
    names = loaded(server).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fra.vpn.example.net"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["203.0.113.1", "2001:db8::1"]
    with pytest.raises(x509.ExtensionNotFound):
        loaded(SERVER).extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_nothing_outlives_its_authority() -> None:
    late = AUTHORITY.not_after - timedelta(days=10)
    assert pki.issue_server(AUTHORITY, "hub-1", late).not_after == AUTHORITY.not_after
    assert pki.issue_client(AUTHORITY, "ada", late).not_after == AUTHORITY.not_after
    for refused in (
        lambda: pki.issue_server(AUTHORITY, "hub-1", AUTHORITY.not_after),
        lambda: pki.issue_client(AUTHORITY, "ada", AUTHORITY.not_after),
        lambda: pki.revocation_list(AUTHORITY, [], 1, AUTHORITY.not_after),
    ):
        with pytest.raises(ValueError, match="expired"):
            refused()


def test_a_revocation_list_ends_with_its_authority_and_carries_its_number() -> None:
    entries = [Revoked(7, NOW), Revoked(5, NOW - timedelta(days=1)), Revoked(7, NOW - timedelta(hours=1))]
    crl = x509.load_pem_x509_crl(pki.revocation_list(AUTHORITY, entries, 42, NOW).encode())
    assert crl.next_update_utc == AUTHORITY.not_after
    assert crl.last_update_utc == NOW - timedelta(days=2)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 42
    assert crl.is_signature_valid(loaded(AUTHORITY).public_key())  # type: ignore[arg-type]
    revoked = {entry.serial_number: entry.revocation_date_utc for entry in crl}
    assert revoked == {5: NOW - timedelta(days=1), 7: NOW - timedelta(hours=1)}
    later = pki.revocation_list(AUTHORITY, [], 43, AUTHORITY.not_after - timedelta(seconds=1))
    assert x509.load_pem_x509_crl(later.encode()).next_update_utc == AUTHORITY.not_after


def test_renewal_is_due_in_the_last_third() -> None:
    begin, end = NOW, NOW + timedelta(days=300)
    assert pki.renewal_at(end, begin) == NOW + timedelta(days=200)
    assert NOW < pki.renewal_at(CLIENT.not_after, pki.validity(CLIENT.certificate)[0]) < CLIENT.not_after


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "a\nb", "ä", "a" * 65, "-a", "a.", 'a"b', "a\x00"])
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    for issue in (pki.issue_server, pki.issue_client):
        with pytest.raises(ValueError, match="common name"):
            issue(AUTHORITY, name, NOW)


@given(st.text(max_size=70))
def test_an_authority_has_any_printable_name_or_none_at_all(name: str) -> None:
    try:
        authority = pki.create_authority(name, NOW)
    except ValueError:
        assert not name.isprintable() or not 1 <= len(name.encode()) <= 64
        return
    assert [attribute.value for attribute in loaded(authority).subject] == [name]


def test_a_time_without_a_zone_is_refused() -> None:
    naive = NOW.replace(tzinfo=None)
    for refused in (
        lambda: pki.create_authority("x", naive),
        lambda: pki.issue_client(AUTHORITY, "ada", naive),
        lambda: pki.revocation_list(AUTHORITY, [Revoked(1, naive)], 1, NOW),
    ):
        with pytest.raises(ValueError, match="aware"):
            refused()


def test_a_credential_is_loaded_from_its_two_texts() -> None:
    assert pki.load(CLIENT.certificate, CLIENT.private_key) == CLIENT
    assert CLIENT.private_key not in repr(CLIENT)
    for certificate, key in (
        (CLIENT.certificate, SERVER.private_key),
        (CLIENT.certificate, ""),
        (CLIENT.certificate, CLIENT.certificate),
        ("", CLIENT.private_key),
    ):
        with pytest.raises(ValueError, match=r".") as refused:
            pki.load(certificate, key)
        assert "MIG" not in str(refused.value)
    with pytest.raises(ValueError, match="not the certificate's"):
        pki.issue_client(dataclasses.replace(AUTHORITY, private_key=CLIENT.private_key), "eve", NOW)


# With openvpn itself.

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
network = pytest.mark.network


@pytest.fixture(scope="module")
def lab() -> Iterator[Wire]:
    with wire() as made:
        yield made


def client_text(lab: Wire, credential: Credential, authority: Credential = AUTHORITY) -> str:
    inline = {"ca": authority.certificate, "cert": credential.certificate, "key": credential.private_key}
    lines = ["client", "dev tun", "nobind", f"remote {lab.server_host} 20001 udp", "remote-cert-tls server"]
    lines += [f"<{name}>\n{text}</{name}>" for name, text in inline.items()]
    return "\n".join(lines) + "\n"


@network
@needs_root
def test_openvpn_connects_with_our_certificates_and_refuses_the_revoked(lab: Wire) -> None:
    bob = pki.issue_client(AUTHORITY, "bob", NOW)
    crl = pki.revocation_list(AUTHORITY, [Revoked(bob.serial, NOW)], 2, NOW)
    with lab.server(AUTHORITY, SERVER, crl=crl) as server:
        with lab.connecting(client_text(lab, CLIENT)) as client:
            client.wait()
            assert lab.reaches_hub()
        with lab.connecting(client_text(lab, bob)) as client:
            server.wait("VERIFY ERROR.*certificate revoked")
            assert not client.said("Initialization Sequence Completed")


@network
@needs_root
def test_openvpn_refuses_the_expired_and_the_foreign(lab: Wire) -> None:
    long_ago = NOW - timedelta(days=2000)
    authority = pki.create_authority("old", long_ago)
    server_side = pki.issue_server(authority, "hub-1", NOW)
    expired = pki.issue_client(authority, "ada", long_ago)
    # An authority of the same name, so that only the signature tells them apart.
    foreign = pki.issue_client(pki.create_authority("old", NOW), "ada", NOW)
    with lab.server(authority, server_side, crl=pki.revocation_list(authority, [], 1, NOW)) as server:
        with lab.connecting(client_text(lab, expired, authority)) as client:
            server.wait("VERIFY ERROR.*certificate has expired")
            assert not client.said("Initialization Sequence Completed")
        with lab.connecting(client_text(lab, foreign, authority)) as client:
            server.wait("VERIFY ERROR.*(unable to get local issuer|signature failure)")
            assert not client.said("Initialization Sequence Completed")


@network
@needs_root
def test_no_client_can_play_the_hub(lab: Wire) -> None:
    with (
        lab.server(AUTHORITY, pki.issue_client(AUTHORITY, "hub-1", NOW)),
        lab.connecting(client_text(lab, CLIENT)) as client,
    ):
        client.wait("VERIFY ERROR.*unsuitable certificate purpose")
        assert not client.said("Initialization Sequence Completed")
