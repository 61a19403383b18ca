"""Invalid requests get an answer too, which never contains a key."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.agent import made
from vpn.agent import session as session_module
from vpn.agent.lifecycle import status as status_module
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.session import answer, once, session
from vpn.agent.system.command import Netns
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.identity import SCHEMA
from vpn.wire.lease import parse_moment
from vpn.wire.observing import Observing, parse_observed
from vpn.wire.report import HubReport
from vpn.wire.report_values import ReportInvalidError
from vpn.wire.version import agent_version


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(Netns("nowhere"), State(tmp_path / "hub"))


def test_each_line_is_answered_in_turn(host: Host) -> None:
    requests = ['{"id": 1, "command": "list"}', "", "not json", '{"id": "x", "command": "reboot"}', "[]"]
    requests.append(json.dumps({"id": 2, "command": "status", "hub": made.HUB}))
    replies = io.StringIO()
    session(host, io.StringIO("\n".join(requests) + "\n"), replies)
    answers = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert parse_moment(answers[0].pop("clock")) is not None
    assert answers[0] == {"id": 1, "hubs": []}
    assert [reply["error"]["code"] for reply in answers[1:]] == ["invalid", "invalid", "invalid", "unknown-hub"]
    assert [reply.get("id") for reply in answers] == [1, None, "x", None, 2]


def test_one_request_is_answered_once(host: Host) -> None:
    replies = io.StringIO()
    assert once(host, io.StringIO("{}"), replies, "list")
    assert not once(host, io.StringIO('{"command": "destroy"}'), replies, "apply")
    assert not once(host, io.StringIO("nothing"), replies, "status")


def test_each_report_says_which_agent_wrote_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    report = HubReport(made.HUB, 1, 1, "", alive=True, observed_at=0.0)
    monkeypatch.setattr(session_module, "status", lambda *_: report)
    said = answer(host, {"command": "status", "hub": made.HUB})["report"]
    assert said == {
        **report.document(),
        "agent": agent_version(),
        "schema": SCHEMA,
        "features": ["trial", "router-tag"],
    }


def test_one_request_reports_on_many_hubs_until_its_time_is_over(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def report(_host: Host, hub: str, _families: object) -> HubReport:
        now[0] += 1.0
        if hub == "b" * 10:
            raise AgentError(FAILED, "made up", codes.HUB_NEWER.of())
        return HubReport(hub, 1, 1, "", alive=True, observed_at=0.0)

    monkeypatch.setattr(status_module, "_status", report)
    monkeypatch.setattr("vpn.agent.lifecycle.status.time.monotonic", lambda: now[0])
    hubs = [letter * 10 for letter in "abcd"]
    said = answer(host, Observing(dict.fromkeys(hubs, ""), 2.5).document())["observed"]
    observed = parse_observed(said, dict.fromkeys(hubs, ""))
    assert list(observed) == hubs[:3]
    assert isinstance(observed[hubs[1]], AgentError)
    known = [one.agent for one in observed.values() if isinstance(one, HubReport)]
    assert known == [agent_version()] * 2
    too_long = answer(host, Observing({"a" * 11: ""}, 2.5).document())
    assert too_long["error"]["code"] == "invalid"


def test_a_bad_report_spoils_no_other() -> None:
    good = HubReport("a" * 10, 1, 1, "", alive=True, observed_at=0.0)
    document = {"a" * 10: {"report": good.document()}, "b" * 10: {"report": good.document()}, "c" * 10: 5}
    observed = parse_observed(document, dict.fromkeys((letter * 10 for letter in "abcd"), ""))
    assert observed.pop("a" * 10) == good
    assert {hub: type(one) for hub, one in observed.items()} == dict.fromkeys(("b" * 10, "c" * 10), ReportInvalidError)


def test_a_report_that_is_shortened_by_another_one_than_was_recorded_is_refused() -> None:
    report = HubReport("a" * 10, 1, 1, "", alive=True, observed_at=0.0, stamp="1" * 16, since="2" * 16)
    document = {report.hub: {"report": report.document()}}
    assert parse_observed(document, {report.hub: "2" * 16}) == {report.hub: report}
    for known in ("", "3" * 16):
        assert isinstance(parse_observed(document, {report.hub: known})[report.hub], ReportInvalidError)


def test_a_fault_of_the_agent_quotes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError(made.key("private"))

    monkeypatch.setattr(session_module, "apply", fail)
    reply = answer(host, {"command": "apply", "spec": made.spec(1)})
    assert reply["error"]["code"] == "failed"
    assert made.key("private") not in json.dumps(reply)


def test_why_is_said_on_standard_error_alone(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    reply = answer(host, {"command": "apply", "spec": {**made.spec(1), "epoch": "soon"}})
    assert reply["error"]["finding"] == codes.AGENT_DOCUMENT_INVALID.of("spec").document()
    told = capsys.readouterr()
    assert "epoch" in told.err
    assert not told.out


def test_what_the_portal_resolves_is_no_line_in_its_log(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    reply = answer(host, {"command": "status", "hub": made.HUB})
    assert reply["error"]["finding"] == codes.HUB_UNKNOWN.of().document()
    assert not capsys.readouterr().err
