"""The revocation list: sent in a delta, kept over restarts, and parsed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn import pki
from vpn.agent.memory.saved import Saved
from vpn.agent.memory.state import State
from vpn.agent.openvpn.revocation import revoked_serials
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.documents import SpecDocument
from vpn.wire.errors import BASE_MISMATCH, INVALID, AgentError
from vpn.wire.spec import parse_spec


def with_list(generation: int, listed: str, **changes: Any) -> SpecDocument:
    crl = f"-----BEGIN X509 CRL-----\n{listed}\n-----END X509 CRL-----\n"
    return made.spec(1, generation=generation, openvpn=made.openvpn(crl=crl, **changes))


def test_a_revocation_travels_as_a_delta_and_is_there_after_a_restart(tmp_path: Path) -> None:
    before, after = with_list(1, "QUJD"), with_list(2, "REVG")
    del after["peers"][made.peer_id(1)]
    delta = parse_delta(json.loads(json.dumps(made.delta(before, after))))
    assert delta.document() == made.delta(before, after)
    state = State(tmp_path)
    saved = Saved.of(parse_spec(before))
    state.save(saved)
    saved.advance(delta, saved.change(delta))
    assert (saved.spec, saved.digest) == (parse_spec(after), digest(after))
    state.save_delta(saved, delta)
    again = State(tmp_path).load(before["hub"])
    assert again is not None
    assert (again.spec, again.digest) == (parse_spec(after), digest(after))


def test_a_delta_changes_nothing_else_of_the_header() -> None:
    before, after = with_list(1, "QUJD"), with_list(2, "REVG", compat_port=1196)
    without = made.spec(1)
    for base in (before, without):
        with pytest.raises(AgentError) as refusal:
            Saved.of(parse_spec(base)).change(parse_delta({**made.delta(base, after), "crl": made.pem("X509 CRL")}))
        assert refusal.value.code == BASE_MISMATCH
    with pytest.raises(AgentError) as refusal:
        parse_delta({**made.delta(before, after), "crl": "../../etc/passwd"})
    assert refusal.value.code == INVALID


def test_revoked_certificates_are_read_from_the_list() -> None:
    now = datetime.now(UTC)
    authority = pki.create_authority("hub", now)
    assert revoked_serials(pki.revocation_list(authority, [], 1, now)) == set()
    for serials in ({1}, {127, 128, 255, 256, 2**158 + 7}, set(range(1, 3000))):
        crl = pki.revocation_list(authority, [pki.Revoked(serial, now) for serial in serials], 2, now)
        assert revoked_serials(crl) == serials


@given(st.binary(max_size=200))
def test_a_list_that_makes_no_sense_names_none(der: bytes) -> None:
    assert revoked_serials(f"-----BEGIN X509 CRL-----\n{base64.b64encode(der).decode()}\n") is not None
    assert revoked_serials("no list\x00") == set()
