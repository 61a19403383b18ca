"""The portal's side of leases: what it records before it grants, to whom, and when it grants none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_instance, observe_hubs, settle
from tests.vpn.observe.observed_server import Server as ObservedServer
from tests.vpn.observe.observed_server import look_at
from tests.vpn.ssh_servers import make_server
from vpn.actions.servers.region import add_region, set_loss_policy
from vpn.choices import InstanceState, OperationKind, ServerState
from vpn.desired import compile_spec
from vpn.drivers.agent import AgentDriver
from vpn.jobs.apply import send
from vpn.jobs.leases import lease_for, note_clock
from vpn.jobs.loss import rebuild_lost_hubs
from vpn.models import Instance, Move, Operation, Server
from vpn.wire import codes
from vpn.wire.errors import LEASE_OVER, AgentError
from vpn.wire.lease import Moment
from vpn.wire.report import HubReport
from vpn.wire.session import Pipes

pytestmark = pytest.mark.django_db
HUB = "hubhubhub1"
REPORT = HubReport(HUB, 1, 1, "", alive=True, observed_at=0.0)


class Agent(AgentDriver):
    """Notes what it is asked, and tells a clock."""

    def __init__(self, *errors: str) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self.errors = list(errors)
        self.now = Moment("boot", 100.0)
        self.session.ask = self.answer  # type: ignore[method-assign]

    def open_pipes(self) -> Pipes:
        """It needs none."""
        raise OSError

    def answer(self, request: Any, *, answer_seconds: float | None = None) -> dict[str, Any]:
        """The answer to a request."""
        self.asked.append(request)
        if request["command"].startswith("apply"):
            return (
                {"error": AgentError(self.errors.pop(0), "", codes.HUB_LEASE_OVER.of()).document()}
                if self.errors
                else {"report": REPORT.document()}
            )
        more: dict[str, Any] = {"observed": {}} if request["command"] == "observe" else {"hubs": []}
        return {**more, "clock": self.now.document()}


@pytest.fixture
def server() -> Server:
    """A ready server of a region whose lost hubs are built anew."""
    made = make_server(add_region("fra", "Frankfurt", by=BY))
    set_loss_policy(made.region, rebuild_lost=True, lost_after=60, by=BY)
    return fresh(made)


@pytest.fixture
def instance(organization: Organization, server: Server) -> Instance:
    """An instance whose hub runs on the server."""
    made = make_instance(organization)
    Instance.objects.filter(pk=made.pk).update(region=server.region, server=server)
    return settle(Instance.objects.get(pk=made.pk))


def fresh(server: Server) -> Server:
    return Server.objects.select_related("region").get(pk=server.pk)


def test_a_lease_is_recorded_before_it_is_granted(server: Server) -> None:
    assert lease_for(server) is None
    before = timezone.now()
    note_clock(server, Moment("boot", 100.0))
    row = fresh(server)
    assert lease_for(row) == Moment("boot", 160.0)
    assert row.lease_ends_at is not None
    assert row.lease_ends_at >= before + timedelta(seconds=60), "and a little later, since clocks differ"


def test_a_shorter_time_shortens_no_lease_that_was_granted(server: Server) -> None:
    note_clock(server, Moment("boot", 100.0))
    ends = fresh(server).lease_ends_at
    set_loss_policy(server.region, rebuild_lost=True, lost_after=20, by=BY)
    note_clock(fresh(server), Moment("boot", 101.0))
    assert fresh(server).lease_ends_at == ends


def test_a_lost_server_gets_no_longer_lease(server: Server) -> None:
    note_clock(server, Moment("boot", 100.0))
    ends = fresh(server).lease_ends_at
    Server.objects.filter(pk=server.pk).update(state=ServerState.LOST)
    note_clock(server, Moment("boot", 500.0))
    assert (fresh(server).lease_ends_at, lease_for(fresh(server))) == (ends, Moment("boot", 160.0))


def test_without_the_policy_there_is_no_lease(server: Server) -> None:
    note_clock(server, Moment("boot", 100.0))
    set_loss_policy(server.region, rebuild_lost=False, lost_after=None, by=BY)
    assert lease_for(fresh(server)) is None
    note_clock(fresh(server), Moment("boot", 104.0))
    assert fresh(server).lease is None


def test_an_agent_without_a_clock_gets_no_lease(server: Server) -> None:
    note_clock(server, None)
    assert (fresh(server).lease, fresh(server).lease_ends_at) == (None, None)


def test_requests_carry_the_lease() -> None:
    agent = Agent()
    agent.check()
    assert agent.clock == agent.now
    agent.observe({HUB: ""}, 1.0)
    agent.apply({}, delta=False)
    agent.lease = Moment("boot", 160.0)
    agent.observe({HUB: ""}, 1.0)
    agent.apply({}, delta=False)
    agent.apply({}, delta=True)
    assert [request.get("lease") for request in agent.asked[1:]] == [
        None,
        None,
        agent.lease.document(),
        agent.lease.document(),
        None,
    ]


def test_a_look_renews_what_the_next_one_grants(
    server: Server, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0)
    observed = ObservedServer(report)
    observed.clock = Moment("boot", 100.0)
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda _: observed)
    look_at(instance)
    assert lease_for(fresh(server)) == Moment("boot", 160.0)
    observed.clock = Moment("boot", 104.0)
    look_at(instance)
    assert lease_for(fresh(server)) == Moment("boot", 164.0)


def lose(server: Server) -> set[Instance]:
    """Let the server be lost and its leases end; return the instances whose hubs are built anew."""
    before = fresh(server)
    over = timezone.now() - timedelta(seconds=1)
    Server.objects.filter(pk=server.pk).update(state=ServerState.LOST, lease_ends_at=over)
    server.instances.update(state=InstanceState.LOST)
    rebuild_lost_hubs()
    found = {move.instance for move in Move.objects.select_related("instance")}
    Move.objects.all().delete()
    Operation.objects.filter(kind=OperationKind.REBUILD).delete()
    Server.objects.filter(pk=server.pk).update(state=before.state, lease_ends_at=before.lease_ends_at)
    server.instances.update(state=InstanceState.READY, retry_at=None)
    return found


def test_only_a_hub_that_was_given_a_lease_is_built_anew(
    organization: Organization, server: Server, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_server(server.region, "fra2", number=8)
    second = settle(make_instance(organization, hostname="second"))
    Instance.objects.filter(pk=second.pk).update(region=server.region, server=server)
    observed = ObservedServer(HubReport("", 1, 1, "", alive=True, observed_at=0.0), clock=Moment("boot", 100.0))
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda _: observed)
    # It did not answer last time, so it is asked for alone, with what the job read of the server before.
    observe_hubs(second, looked_at=timezone.now() - timedelta(minutes=1), observed_at=None)
    look_at(instance)
    assert (observed.requests, observed.lease) == (2, None)
    assert lose(server) == set()
    # One look at all is enough, however soon after it the server is lost.
    observe_hubs(second, looked_at=None)
    look_at(instance)
    assert observed.lease is not None
    assert lose(server) == {instance, second}


def test_a_hub_has_no_lease_any_more_once_it_may_have_been_taken(
    server: Server, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_server(server.region, "fra2", number=8)
    observe_hubs(instance, leased_on=server.pk)
    observed = ObservedServer(HubReport("", 1, 1, "", alive=True, observed_at=0.0))

    def killed(hubs: object, seconds: float) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(observed, "observe", killed)
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda _: observed)
    assert lose(server) == {instance}
    with pytest.raises(KeyboardInterrupt):
        look_at(instance)
    assert lose(server) == set()


def test_an_applied_specification_gives_a_lease(
    server: Server, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_server(server.region, "fra2", number=8)
    agent = Agent()
    monkeypatch.setattr("vpn.jobs.apply.driver_for", lambda _: agent)
    send(instance.pk, compile_spec(instance.pk))
    assert lose(server) == set()
    agent.lease = Moment("boot", 160.0)
    send(instance.pk, compile_spec(instance.pk))
    assert lose(server) == {instance}


def test_a_hub_whose_lease_is_over_is_applied_with_a_new_one(
    server: Server, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(LEASE_OVER)
    monkeypatch.setattr("vpn.jobs.apply.driver_for", lambda _: agent)
    send(instance.pk, compile_spec(instance.pk))
    assert [request["command"] for request in agent.asked] == ["apply", "list", "apply"]
    assert agent.asked[-1]["lease"] == Moment("boot", 160.0).document()
