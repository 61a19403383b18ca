"""A change on trial in the portal: saved, applied, kept or taken back, and what may happen meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.actions.group import change_group, create_group, delete_group
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import JournalEntry, Membership, Organization, PrincipalKind
from portal.told import sentences
from tests.factories import BY, make_client_peer, make_site, settle
from tests.portal.journal_lines import only
from tests.vpn.confirming_server import Server, applied
from tests.vpn.observe.observed_server import Server as Observed
from tests.vpn.observe.observed_server import look_at
from vpn.actions.instances.move import check_movable, rebuild_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.instances.trial import keep_change, return_change
from vpn.actions.peers.peer import create_client_peer, delete_peer
from vpn.actions.sites.site import delete_site
from vpn.choices import InstanceState, TrialState
from vpn.desired import compile_spec
from vpn.models import ChangeTrial, Instance, Peer
from vpn.models import Server as ServerRow
from vpn.presenters.instances.trial import shown_trial
from vpn.wire.report import HubReport
from vpn.wire.spec import parse_spec
from vpn.wire.trial import TrialReport

pytestmark = pytest.mark.both_databases

OPEN: dict[str, Any] = {"name": "open", "action": "accept", "source": "10.0.0.0/8"}
CLOSED: dict[str, Any] = {"name": "closed", "action": "drop"}


@pytest.fixture
def hub(instance: Instance) -> Instance:
    """An instance with a rule and a pushed route, on a server whose agent knows trials; all is applied."""
    ServerRow.objects.update(agent_features=["trial"])
    update_instance(instance, firewall=[OPEN], pushed_routes=["192.0.2.0/24"], by=BY)
    return settle(instance)


def try_closing(hub: Instance, *, by: Any = BY, seconds: int = 120, **changes: Any) -> ChangeTrial:
    """Save a change that closes everything, on trial."""
    settings = {"firewall": [CLOSED], "firewall_policy": "deny", "pushed_routes": []} | changes
    update_instance(Instance.objects.get(pk=hub.pk), by=by, confirm_within=seconds, **settings)
    return ChangeTrial.objects.get(instance=hub)


def says(*, left: float = 0.0, has_returned: bool = False) -> Callable[[HubReport], HubReport]:
    """The answer of an agent that knows the trial."""

    def answer(report: HubReport) -> HubReport:
        trial = ChangeTrial.objects.first()
        assert trial is not None
        return replace(report, trial=TrialReport(str(trial.pk), left, has_returned))

    return answer


def apply_trial(hub: Instance, server: Server, left: float = 120.0) -> None:
    """The hub applies the change on trial."""
    server.answer = says(left=left)
    applied(hub)


def settings_of(hub: Instance) -> tuple[list[str], str, list[str]]:
    fresh = Instance.objects.get(pk=hub.pk)
    names = list(fresh.firewall_rules.values_list("name", flat=True))
    return names, fresh.firewall_policy, fresh.pushed_routes


BEFORE = (["open"], "allow", ["192.0.2.0/24"])
AFTER: tuple[list[str], str, list[str]] = (["closed"], "deny", [])


def test_the_hub_gets_the_new_settings_whole_with_the_former_ones(hub: Instance, server: Server) -> None:
    rule = hub.firewall_rules.get()
    trial = try_closing(hub)
    assert (settings_of(hub), trial.ends_at) == (AFTER, None)
    apply_trial(hub, server)
    assert not server.was_delta
    spec = parse_spec(server.document)
    assert spec.trial is not None
    assert (spec.trial.id, spec.trial.seconds, spec.forwarding) == (str(trial.pk), 120, "deny")
    former = spec.returned
    assert (former.forwarding, former.pushed_routes) == ("allow", ("192.0.2.0/24",))
    assert [one.id for one in former.rules] == [str(rule.pk)]
    trial.refresh_from_db()
    assert trial.ends_at is not None
    assert timedelta(seconds=100) < trial.ends_at - timezone.now() <= timedelta(seconds=120)


def test_without_a_trial_the_spec_is_as_older_agents_know_it(hub: Instance) -> None:
    assert "trial" not in compile_spec(hub.pk).document


def test_it_is_kept_by_a_confirmation_while_the_hub_runs_it(hub: Instance, server: Server, admin: Membership) -> None:
    try_closing(hub)
    with pytest.raises(NotPossible, match="not applied this change yet"):
        keep_change(hub, by=BY)
    apply_trial(hub, server)
    line = only(lambda: keep_change(hub, by=admin.principal))
    assert (line.code, line.actor_id, line.object_id) == ("instance.change_kept", str(admin.pk), str(hub.pk))
    assert "Rule “closed” added" in sentences(line.details)["changed"]
    server.answer = lambda report: report
    applied(hub)
    assert (settings_of(hub), shown_trial(Instance.objects.get(pk=hub.pk))) == (AFTER, None)
    assert "trial" not in server.document
    with pytest.raises(NotPossible, match="No change"):
        keep_change(hub, by=BY)


def test_a_late_confirmation_is_refused(hub: Instance, server: Server) -> None:
    try_closing(hub)
    apply_trial(hub, server)
    ChangeTrial.objects.update(ends_at=timezone.now())
    with pytest.raises(NotPossible, match="time for confirming is over"):
        keep_change(hub, by=BY)
    shown = shown_trial(Instance.objects.get(pk=hub.pk))
    assert shown is not None
    assert not shown.may_keep


def test_who_saved_it_may_return_at_once(hub: Instance, server: Server, admin: Membership) -> None:
    try_closing(hub, by=admin.principal)
    line = only(lambda: return_change(hub, by=admin.principal))
    assert (line.code, line.actor_id) == ("instance.change_returned", str(admin.pk))
    assert settings_of(hub) == BEFORE
    server.answer = lambda report: report
    applied(hub)
    spec = parse_spec(server.document)
    assert (spec.trial, spec.forwarding, spec.pushed_routes) == (None, "allow", ("192.0.2.0/24",))
    assert shown_trial(Instance.objects.get(pk=hub.pk)) is None, "nobody is told what they did themselves"


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> Observed:
    """A server whose reports the test makes up."""
    made = Observed(HubReport("h" * 10, 1, 1, "", alive=True, observed_at=0.0, peers={}))
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda name: made)
    return made


def test_a_hub_that_returned_by_itself_is_followed_once(
    hub: Instance, server: Server, observed: Observed, admin: Membership
) -> None:
    trial = try_closing(hub, by=admin.principal)
    apply_trial(hub, server)
    observed.report = replace(observed.report, trial=TrialReport(str(trial.pk), 0.0, has_returned=True))
    line = only(lambda: look_at(hub))
    assert (line.code, line.actor_kind) == ("instance.change_returned", PrincipalKind.PORTAL)
    assert line.actor_reason == "the change was not confirmed in time"
    assert settings_of(hub) == BEFORE
    trial.refresh_from_db()
    assert (trial.state, trial.was_unconfirmed) == (TrialState.RETURNED, True)
    generation = Instance.objects.get(pk=hub.pk).desired_generation
    look_at(hub)
    assert Instance.objects.get(pk=hub.pk).desired_generation == generation
    shown = shown_trial(Instance.objects.get(pk=hub.pk))
    assert shown is not None
    assert "was not confirmed" in shown.title
    assert "save it again" in shown.next_step
    # The next change of these settings ends the sentence.
    update_instance(Instance.objects.get(pk=hub.pk), firewall_policy="deny", by=BY)
    assert shown_trial(Instance.objects.get(pk=hub.pk)) is None


def test_a_report_with_the_answer_to_an_apply_counts_too(hub: Instance, server: Server) -> None:
    try_closing(hub)
    server.answer = says(has_returned=True)
    applied(hub)
    assert settings_of(hub) == BEFORE
    server.answer = lambda report: report
    applied(hub)
    assert "trial" not in server.document


def test_a_confirmation_that_was_saved_wins_over_the_hubs_return(
    hub: Instance, server: Server, observed: Observed
) -> None:
    trial = try_closing(hub)
    apply_trial(hub, server)
    keep_change(hub, by=BY)
    observed.report = replace(observed.report, trial=TrialReport(str(trial.pk), 0.0, has_returned=True))
    look_at(hub)
    assert settings_of(hub) == AFTER


def test_other_changes_of_these_settings_wait_and_all_else_goes_on(
    hub: Instance, server: Server, member: Membership
) -> None:
    leaver = create_client_peer(hub, member=member, device="old", by=BY)
    settle(hub)
    try_closing(hub)
    apply_trial(hub, server)
    before = JournalEntry.objects.count()
    others: list[dict[str, Any]] = [
        {"firewall": []},
        {"firewall_policy": "allow"},
        {"pushed_routes": ["198.51.100.0/24"]},
    ]
    for changes in others:
        with pytest.raises(NotPossible, match="waiting for confirmation"):
            update_instance(Instance.objects.get(pk=hub.pk), by=BY, **changes)
    assert JournalEntry.objects.count() == before
    update_instance(Instance.objects.get(pk=hub.pk), mtu=1280, by=BY)
    delete_peer(Peer.objects.get(pk=leaver.pk), by=BY)
    stays = create_client_peer(Instance.objects.get(pk=hub.pk), member=member, device="new", by=BY)
    return_change(hub, by=BY)
    spec = parse_spec(compile_spec(hub.pk).document)
    assert (spec.mtu, spec.forwarding) == (1280, "allow")
    assert str(stays.pk) in spec.peers
    assert str(leaver.pk) not in spec.peers


def test_who_leaves_a_group_of_the_former_rules_leaves_it_in_both_states(
    hub: Instance, organization: Organization, member: Membership, server: Server
) -> None:
    group = create_group(organization, name="Sales", members=[member.pk], by=BY)
    peer = make_client_peer(hub, member)
    tag = f"group:{group.pk}"
    update_instance(Instance.objects.get(pk=hub.pk), firewall=[OPEN | {"source": tag}], by=BY)
    settle(hub)
    try_closing(hub)
    assert parse_spec(compile_spec(hub.pk).document).peers[str(peer.pk)].tags == (tag,)
    with pytest.raises(Conflict, match="name Sales"):
        delete_group(group, by=BY)
    apply_trial(hub, server)
    change_group(group, name="Sales", members=[], by=BY)
    applied(hub)
    assert server.was_delta
    assert server.document["upsert"][str(peer.pk)].get("tags") is None


def test_a_rule_that_names_what_was_deleted_meanwhile_does_not_come_back(
    hub: Instance, organization: Organization
) -> None:
    site = make_site(organization)
    update_instance(Instance.objects.get(pk=hub.pk), firewall=[OPEN, OPEN | {"source": f"site:{site.pk}"}], by=BY)
    settle(hub)
    try_closing(hub)
    delete_site(site, by=BY)
    parse_spec(compile_spec(hub.pk).document)
    return_change(hub, by=BY)
    assert settings_of(hub) == BEFORE


def test_an_agent_of_an_older_release_is_sent_nothing(hub: Instance) -> None:
    ServerRow.objects.update(agent_features=None)
    generation = hub.desired_generation
    with pytest.raises(NotPossible, match="older release and cannot return by itself"):
        try_closing(hub)
    hub.refresh_from_db()
    assert (settings_of(hub), hub.desired_generation) == (BEFORE, generation)
    assert not ChangeTrial.objects.exists()


@pytest.mark.parametrize("seconds", [0, 4, 3601])
def test_the_time_has_limits(hub: Instance, seconds: int) -> None:
    with pytest.raises(InvalidInput, match="5 to 3,600 seconds"):
        try_closing(hub, seconds=seconds)


def test_only_what_returns_may_be_tried(hub: Instance) -> None:
    with pytest.raises(InvalidInput, match="Save mtu separately"):
        try_closing(hub, mtu=1280)
    update_instance(hub, firewall_policy="allow", confirm_within=60, by=BY)  # nothing changes
    assert not ChangeTrial.objects.exists()


def test_a_hub_that_is_not_ready_tries_nothing(hub: Instance) -> None:
    Instance.objects.update(configured=False)
    with pytest.raises(NotPossible, match="not ready"):
        try_closing(hub)


def test_a_hub_moves_after_its_trial_but_a_lost_one_is_rebuilt(hub: Instance) -> None:
    try_closing(hub)
    fresh = Instance.objects.get(pk=hub.pk)
    with pytest.raises(NotPossible, match="waiting for confirmation"):
        check_movable(fresh)
    fresh.state = InstanceState.LOST
    check_movable(fresh)


def test_a_hub_that_is_being_replaced_tries_nothing(hub: Instance) -> None:
    rebuild_instance(Instance.objects.get(pk=hub.pk), by=BY)
    with pytest.raises(NotPossible, match="would try the change anew"):
        try_closing(hub)


def test_the_agents_features_are_noted(instance: Instance, observed: Observed) -> None:
    observed.report = replace(observed.report, agent="a" * 12, schema=1, features=("trial", "later"))
    look_at(instance)
    assert ServerRow.objects.get(instances=instance).agent_features == ["trial", "later"]
    observed.report = replace(observed.report, agent="b" * 12, features=())
    look_at(instance)
    assert ServerRow.objects.get(instances=instance).agent_features is None


def test_a_pool_does_not_take_in_a_route_that_may_be_back_in_a_moment(hub: Instance, server: Server) -> None:
    """An agent refuses a spec whose hub would reach its own pool behind the server, in either setting."""
    ServerRow.objects.update(networks=["100.64.240.0/24"])
    update_instance(Instance.objects.get(), by=BY, pushed_routes=["100.64.240.0/24"])
    Instance.objects.update(pool_v4="100.64.0.0/20")
    settle(Instance.objects.get())
    try_closing(hub)
    with pytest.raises(Conflict, match=r"contains 100\.64\.240\.0/24 of the pushed routes"):
        update_instance(Instance.objects.get(), by=BY, pool="100.64.0.0/16")
    apply_trial(hub, server)
    keep_change(hub, by=BY)
    update_instance(Instance.objects.get(), by=BY, pool="100.64.0.0/16")
    parse_spec(compile_spec(hub.pk).document)


def test_an_agent_that_was_replaced_by_an_earlier_one_gets_the_former_settings(
    hub: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses every specification with a trial, so nothing else would reach the hub either."""
    try_closing(hub)
    settle(hub)
    fresh = Instance.objects.get(pk=hub.pk)
    report = HubReport(fresh.hub, fresh.epoch, fresh.applied_generation, fresh.applied_digest, True, 0.0)
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda _: Observed(report))
    look_at(fresh)
    trial = ChangeTrial.objects.get()
    assert (trial.state, trial.was_unconfirmed) == (TrialState.RETURNED, True)
    assert "trial" not in compile_spec(hub.pk).document
    assert [rule.action for rule in hub.firewall_rules.all()] == ["accept"]
