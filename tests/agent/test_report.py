"""Reports come from servers and are untrusted: every field is validated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn.wire import codes, errors
from vpn.wire.errors import AgentError, parse_error
from vpn.wire.finding import parse_finding
from vpn.wire.report import HubReport, PeerReport, SessionReport, parse_report
from vpn.wire.report_values import ReportInvalidError

REPORT = HubReport(
    hub=made.HUB,
    epoch=1,
    generation=7,
    digest="0f" * 32,
    alive=True,
    observed_at=1700000000.5,
    duration_ms=12.5,
    peers={
        made.key("a"): PeerReport("203.0.113.5:1234", 1700000000, 5, 6),
        made.key("b"): PeerReport("[2001:db8::1]:51820", 0, 0, 0),
        made.key("c"): PeerReport(None, 0, 0, 1),
    },
    sessions={
        made.peer_id(1): SessionReport("203.0.113.5:1194", 1700000000, 5, 6, "udp"),
        made.peer_id(2): SessionReport("[2001:db8::1]:51820", 1700000000, 0, 0, "compat"),
        made.peer_id(3): SessionReport(None, 0, 0, 0, "tcp"),
    },
    agent="0123456789ab",
    schema=1,
    stamp="0123456789abcdef",
    since="fedcba9876543210",
    ended=[made.peer_id(4)],
    drift=[codes.ROUTING_ROUTE_ADDED.of("10.9.0.0/16"), codes.FIREWALL_TABLE_MISSING.of()],
)
FINDING = codes.ROUTING_ROUTE_ADDED.of("10.9.0.0/16").document()


SESSION = REPORT.document()["sessions"][made.peer_id(1)]


def test_a_report_survives_its_journey() -> None:
    assert parse_report(json.loads(json.dumps(REPORT.document()))) == REPORT


@pytest.mark.parametrize(
    "change",
    [
        {"hub": "<script>"},
        {"generation": -1},
        {"agent": ""},
        {"stamp": "<script>"},
        {"since": 5},
        {"ended": ["<script>"]},
        {"agent": "<script>"},
        {"agent": "x" * 41},
        {"schema": "1"},
        {"schema": -1},
        {"schema": 2**40},
        {"generation": True},
        {"digest": "0f"},
        {"observed_at": float("nan")},
        {"observed_at": "now"},
        {"changed": None},
        {"peers": []},
        {"peers": {"key": {}}},
        {"peers": {made.key("a"): {**REPORT.document()["peers"][made.key("a")], "endpoint": "<b>:1"}}},
        {"peers": {made.key("a"): {**REPORT.document()["peers"][made.key("a")], "received_bytes": 2**64}}},
        {"sessions": []},
        {"sessions": {"<b>": SESSION}},
        {"sessions": {made.peer_id(1): {**SESSION, "listener": "serial"}}},
        {"sessions": {made.peer_id(1): {**SESSION, "listener": ["udp"]}}},
        {"sessions": {made.peer_id(1): {**SESSION, "endpoint": "1.2.3.4"}}},
        {"sessions": {made.peer_id(1): {**SESSION, "connected_since": -1}}},
        {"drift": {}},
        {"drift": [None]},
        {"drift": [{**FINDING, "component": "Routing: look"}]},
        {"drift": [{**FINDING, "code": ["route-added"]}]},
        {"drift": [{**FINDING, "code": "<b>"}]},
        {"drift": [{**FINDING, "subject": "a sentence of the server's"}]},
        {"drift": [{**FINDING, "subject": "<script>"}]},
        {"drift": [{**FINDING, "subject": "a" * 81}]},
        {"drift": [{"component": "routing", "code": "route-added"}]},
    ],
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ReportInvalidError):
        parse_report({**REPORT.document(), **change})


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda x: st.dictionaries(st.text(), x)))
def test_anything_at_all_is_refused(value: object) -> None:
    with pytest.raises(ReportInvalidError):
        parse_report(value)


def test_an_older_agent_says_nothing_of_what_was_pushed() -> None:
    document = REPORT.document()
    session = {name: value for name, value in SESSION.items() if name != "push_outdated"}
    for given_session, outdated in ((session, False), ({**session, "push_outdated": True}, True)):
        reported = parse_report({**document, "sessions": {made.peer_id(1): given_session}})
        assert reported.sessions is not None
        assert reported.sessions[made.peer_id(1)].push_outdated is outdated
        assert parse_report(reported.document()) == reported


def test_much_drift_is_cut() -> None:
    assert len(parse_report({**REPORT.document(), "drift": [FINDING] * 1000}).drift or ()) == 20


def test_sentences_of_the_release_before_are_taken_a_line_each() -> None:
    told = parse_report({**REPORT.document(), "drift": ["A route\nwas added.", "x" * 1000]}).drift
    assert told == ["A routewas added.", "x" * 200]


@pytest.mark.parametrize("subject", ["a name with spaces", "<b>", "ü", "a" * 100, 20000, "%(subject)s"])
def test_what_the_agent_says_is_always_a_subject(subject: object) -> None:
    found = codes.FIREWALL_SET_ADDED.of(subject)
    assert parse_finding(found.document()) == found


def test_a_refusal_survives_its_journey() -> None:
    refusal = AgentError(errors.PORT_TAKEN, "A sentence for the log.", codes.ROUTING_ROUTE_ADDED.of("10.9.0.0/16"))
    document = json.loads(json.dumps(refusal.document()))
    assert "sentence" not in str(document)
    told = parse_error(document)
    assert (told.code, told.finding, told.permanent) == (refusal.code, refusal.finding, refusal.permanent)


def test_a_refusal_of_the_release_before_keeps_its_sentence() -> None:
    told = parse_error({"code": "stale", "message": "The server has a newer one.", "permanent": True})
    assert (told.code, told.message, told.finding, told.permanent) == (
        "stale",
        "The server has a newer one.",
        None,
        True,
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"code": "made-up", "message": "Hello."},
        {"code": ["stale"], "message": "Hello."},
        {"code": "stale"},
        {"code": "stale", "finding": {**FINDING, "subject": "two words"}},
    ],
)
def test_a_refusal_that_makes_no_sense_is_a_failure(document: object) -> None:
    told = parse_error(document)
    assert (told.code, told.finding) == (errors.FAILED, None)
    assert told.message.endswith(".")
