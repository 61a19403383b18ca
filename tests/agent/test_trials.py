"""A change on trial: when it ends, what is in force, and that removals count before and after."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.agent import made
from tests.agent.test_leases import Clock
from vpn.agent import firewall
from vpn.agent.lifecycle import apply as applying
from vpn.agent.lifecycle import effective, ending, incremental, preflight, removals, salvage, trials
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.pending import Pending
from vpn.agent.lifecycle.salvage import reduced
from vpn.agent.memory.saved import Change, Saved
from vpn.agent.memory.state import State
from vpn.agent.session import answer
from vpn.agent.system import clock
from vpn.agent.system.command import Netns
from vpn.wire.digests import digest
from vpn.wire.documents import SpecDocument
from vpn.wire.errors import INVALID, AgentError
from vpn.wire.report import parse_report
from vpn.wire.report_values import ReportInvalidError
from vpn.wire.spec import HubSpec, parse_spec
from vpn.wire.trial import TrialReport, parse_trial_report

ONE, TWO, TRIAL, OTHER = (made.peer_id(number) for number in (1, 2, 71, 72))
RULE = {
    "id": made.peer_id(31),
    "action": "accept",
    "protocol": "any",
    "ports": None,
    "source": "any",
    "destination": "any",
}
SERVER = {"addresses": ["203.0.113.1"], "networks": ["10.50.0.0/16"], "portal_port": None}


def tried(number: int, *peers: int, trial: str = TRIAL, **changes: Any) -> SpecDocument:
    """A spec with a closed policy on trial for 120 s; before, the policy was open."""
    former = {"forwarding": "allow", "rules": [RULE], "pushed_routes": ["10.9.0.0/16"], "networks": []}
    document = {"trial": {"id": trial, "seconds": 120, "former": former}, "forwarding": "deny", "server": SERVER}
    return made.spec(*peers, generation=number, **(document | changes))


@pytest.fixture
def server_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made_clock = Clock()
    monkeypatch.setattr(clock, "now", made_clock.now)
    return made_clock


class InForce(list[HubSpec]):
    """What was brought into force, one after the other. The next attempt raises `error`, if there is one."""

    error: AgentError | None = None


@pytest.fixture
def in_force(monkeypatch: pytest.MonkeyPatch) -> InForce:
    """Stands for all components: none of them touches the system."""
    found = InForce()

    def whole(host: Host, spec: HubSpec, *_: object, **__: object) -> dict[str, bool]:
        has_ended = trials.is_over(host.state, spec) or trials.is_due(host.state, spec.hub)
        found.append(effective.of_spec(host.state, spec, time.time()))
        if found.error is not None:
            raise found.error
        if has_ended:
            trials.note_returned(host.state, spec)
        return {}

    for module in (applying, ending):
        monkeypatch.setattr(module, "reconcile", whole)
    monkeypatch.setattr(preflight, "check", lambda *_: None)
    monkeypatch.setattr(firewall, "end_flows", lambda *_: None)
    monkeypatch.setattr(removals, "_end_access", lambda *_: True)
    return found


@pytest.fixture
def host(tmp_path: Path, server_clock: Clock) -> Host:
    return Host(Netns("nowhere"), State(tmp_path / "hub"))


def restarted(host: Host) -> Host:
    """The agent as another process finds it, such as a watch after kill -9."""
    return Host(host.netns, State(host.state.directory))


def apply(host: Host, document: SpecDocument) -> TrialReport | None:
    told = answer(host, {"command": "apply", "spec": document})
    assert "error" not in told, told
    return parse_report(told["report"]).trial


def forwarding(host: Host) -> str:
    """The policy that any process of the agent brings into force now."""
    again = restarted(host)
    saved = again.state.load(made.HUB)
    assert saved is not None
    return effective.of_spec(again.state, saved.spec, time.time()).forwarding


def test_a_spec_with_a_trial_goes_both_ways_and_has_a_digest_of_its_own() -> None:
    document = tried(2, 1)
    spec = parse_spec(document)
    assert spec.document() == document
    assert digest(document) != digest({**document, "trial": None})
    before = spec.returned
    assert (before.forwarding, before.pushed_routes, before.server.networks) == ("allow", ("10.9.0.0/16",), ())
    assert (before.peers, before.server.addresses) == (spec.peers, spec.server.addresses)
    assert len(before.rules) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"seconds": 0},
        {"seconds": 4000},
        {"id": "../x"},
        {"former": {}},
        {"former": {"forwarding": "perhaps", "rules": [], "pushed_routes": [], "networks": []}},
        {"more": 1},
    ],
)
def test_a_trial_that_is_not_valid_is_refused_as_a_whole(host: Host, fault: dict[str, Any]) -> None:
    document = tried(2, 1)
    refused = answer(host, {"command": "apply", "spec": {**document, "trial": {**document["trial"], **fault}}})  # type: ignore[dict-item]
    assert refused["error"]["code"] == INVALID
    assert host.state.hubs() == []


def test_the_former_settings_are_back_after_its_time_and_stay(
    host: Host, server_clock: Clock, in_force: InForce
) -> None:
    assert apply(host, tried(2, 1)) == TrialReport(TRIAL, 120.0, has_returned=False)
    server_clock.seconds += 119
    watch = Pending(restarted(host))
    assert not watch.returns(made.HUB)
    assert ending.end_trial(host, made.HUB) == set()
    assert forwarding(host) == "deny"
    server_clock.seconds += 1
    assert watch.returns(made.HUB), "nothing was written since it looked last"
    assert ending.end_trial(restarted(host), made.HUB) == {TRIAL}
    assert in_force[-1].forwarding == "allow"
    assert trials.report(host, made.HUB) == TrialReport(TRIAL, 0.0, has_returned=True)
    assert not watch.returns(made.HUB)
    assert ending.end_trial(host, made.HUB) == set(), "once"
    # The portal that does not know yet sends the same again: nothing is tried anew.
    assert apply(host, tried(2, 1)) == TrialReport(TRIAL, 0.0, has_returned=True)
    assert apply(host, tried(3, 1, 2)) == TrialReport(TRIAL, 0.0, has_returned=True)
    assert in_force[-1].forwarding == "allow"


def test_a_confirmed_change_stays(host: Host, server_clock: Clock, in_force: InForce) -> None:
    apply(host, tried(2, 1))
    server_clock.seconds += 60
    assert apply(host, made.spec(1, generation=3, forwarding="deny")) is None
    server_clock.seconds += 600
    assert not Pending(host).returns(made.HUB)
    assert ending.end_trial(host, made.HUB) == set()
    assert forwarding(host) == "deny"
    assert not (host.state.directory / made.HUB / "trial.json").exists()


def test_the_time_counts_from_the_first_apply_whatever_is_sent_later(
    host: Host, server_clock: Clock, in_force: InForce
) -> None:
    apply(host, tried(2, 1))
    server_clock.seconds += 100
    assert apply(host, tried(3, 1, 2)) == TrialReport(TRIAL, 20.0, has_returned=False)
    assert apply(host, tried(4, 1, trial=OTHER)) == TrialReport(OTHER, 120.0, has_returned=False)


def test_after_a_restart_of_the_server_it_is_over(host: Host, server_clock: Clock, in_force: InForce) -> None:
    apply(host, tried(2, 1))
    server_clock.boot, server_clock.seconds = "second", 5.0
    assert forwarding(host) == "allow"
    assert Pending(restarted(host)).returns(made.HUB)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"trial": "x"}'])
def test_a_damaged_deadline_is_over(host: Host, in_force: InForce, damage: str) -> None:
    apply(host, tried(2, 1))
    (host.state.directory / made.HUB / "trial.json").write_text(damage)
    assert forwarding(host) == "allow"
    assert ending.end_trial(restarted(host), made.HUB)
    assert ending.end_trial(restarted(host), made.HUB) == set()


def test_who_was_removed_meanwhile_does_not_come_back(host: Host, server_clock: Clock, in_force: InForce) -> None:
    apply(host, made.spec(1, 2, generation=1))
    apply(host, tried(2, 1, 2))
    delta = made.delta(tried(2, 1, 2), tried(3, 2))
    changed: list[bool] = []

    def change(*_: object, rules_changed: bool, **__: object) -> dict[str, bool]:
        changed.append(rules_changed)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "apply_change", change)
        assert "error" not in answer(host, {"command": "apply-delta", "delta": delta})
    assert changed == [False]
    server_clock.seconds += 120
    ending.end_trial(restarted(host), made.HUB)
    assert (in_force[-1].forwarding, set(in_force[-1].peers)) == ("allow", {TWO})


def test_who_has_expired_meanwhile_does_not_come_back(host: Host, server_clock: Clock, in_force: InForce) -> None:
    limited = {**made.peer(1), "expires_at": int(time.time()) - 1}
    apply(host, tried(2, 1, 2, peers={ONE: limited, TWO: made.peer(2)}))
    server_clock.seconds += 120
    ending.end_trial(host, made.HUB)
    assert set(in_force[-1].peers) == {TWO}


def test_an_apply_that_was_broken_off_leaves_a_deadline(host: Host, server_clock: Clock, in_force: InForce) -> None:
    """The settings on trial may be in force although the saved spec is the former one."""
    apply(host, made.spec(1, generation=1))
    in_force.error = AgentError("failed", "Killed in between.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(salvage, "enforce_removals", lambda *_: None)
        assert "error" in answer(host, {"command": "apply", "spec": tried(2, 1)})
    in_force.error = None
    assert ending.end_trial(host, made.HUB) == set()
    server_clock.seconds += 120
    assert ending.end_trial(restarted(host), made.HUB) == {TRIAL}
    assert in_force[-1] == effective.of_spec(host.state, parse_spec(made.spec(1, generation=1)), time.time())
    assert ending.end_trial(host, made.HUB) == set()
    assert apply(host, tried(2, 1)) == TrialReport(TRIAL, 0.0, has_returned=True), "its time is over"
    assert in_force[-1].forwarding == "allow"


def test_an_apply_that_is_broken_off_again_and_again_ends_in_time(
    host: Host, server_clock: Clock, in_force: InForce
) -> None:
    """The portal sends it every half minute. The firewall has the new rules each time, the resolver fails."""
    apply(host, made.spec(1, generation=1))
    in_force.error = AgentError("failed", "The resolver does not start.")
    for _ in range(4):
        assert "error" in answer(host, {"command": "apply", "spec": tried(2, 1)})
        assert not Pending(restarted(host)).returns(made.HUB)
        server_clock.seconds += 30
    in_force.error = None
    assert Pending(restarted(host)).returns(made.HUB)
    assert ending.end_trial(host, made.HUB) == {TRIAL}
    assert in_force[-1].forwarding == "allow"


def test_a_return_that_fails_is_tried_again(host: Host, server_clock: Clock, in_force: InForce) -> None:
    apply(host, tried(2, 1))
    server_clock.seconds += 121
    in_force.error = AgentError("failed", "No room.")
    with pytest.raises(AgentError):
        ending.end_trial(host, made.HUB)
    assert trials.report(host, made.HUB) == TrialReport(TRIAL, 0.0, has_returned=False)
    in_force.error = None
    assert ending.end_trial(host, made.HUB) == {TRIAL}


def test_a_change_at_the_end_of_the_time_compares_everything(
    host: Host, server_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch may come a moment later: until then the hub does not match what is in force."""
    spec, whole = parse_spec(tried(2, 1)), list[HubSpec]()
    host.state.save(Saved.of(spec))
    trials.begin(host.state, None, spec)
    server_clock.seconds += 120

    def compare(_: Host, spec: HubSpec) -> dict[str, bool]:
        whole.append(spec)
        return {}

    monkeypatch.setattr(incremental, "reconcile", compare)
    monkeypatch.setattr(firewall, "end_flows", lambda *_: None)
    incremental.apply_change(host, spec, Change({}), time.time())
    assert whole == [spec]


def test_a_change_on_trial_that_cannot_be_applied_closes_no_network_for_good() -> None:
    opened = made.spec(1, generation=1, server=SERVER)
    former = {"forwarding": "allow", "rules": [], "pushed_routes": [], "networks": ["10.50.0.0/16"]}
    closing = {**SERVER, "networks": []}
    wanted = tried(2, 1, server=closing, trial=TRIAL)
    wanted["trial"] = {"id": TRIAL, "seconds": 120, "former": former}  # type: ignore[typeddict-item]
    assert reduced(parse_spec(opened), parse_spec(wanted)) == parse_spec(opened)
    gone = reduced(parse_spec(wanted), parse_spec(made.spec(1, generation=3, server=closing)))
    assert gone.returned.server.networks == (), "what nobody allows any more stays closed after a return, too"


def test_a_report_of_a_trial_is_checked() -> None:
    told = {"id": TRIAL, "left": 1.5, "has_returned": True}
    assert parse_trial_report(told) == TrialReport(TRIAL, 1.5, has_returned=True)
    assert parse_trial_report({**told, "left": 1e9}).left == 3600
    for fault in ({"id": "x"}, {"left": -1}, {"left": None}):
        with pytest.raises(ReportInvalidError):
            parse_trial_report({**told, **fault})
    with pytest.raises(ReportInvalidError):
        parse_trial_report([])
