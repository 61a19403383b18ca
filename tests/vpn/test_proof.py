"""Which of a server's addresses have to be proven before an instance is ready."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from portal.models import Membership
from tests.factories import BY, make_region, reachable
from tests.vpn.confirming_server import Server as Confirming
from vpn import failures
from vpn.actions.instances.instance import create_instance
from vpn.choices import InstanceState, ProofCause, Reachability, StepState
from vpn.constants import DEFAULT_PUBLIC_DNS, DEFAULT_PUBLIC_DNS_V6
from vpn.drivers.base import Found, Knock
from vpn.drivers.proof.reason import reason
from vpn.jobs.provision import provision_instance
from vpn.models import Instance, OperationStep, Server
from vpn.needs import Code, needs_of
from vpn.presenters.findings import sentence_of

V4, V6 = "203.0.113.1", "2001:db8::1"


class Reachable(Confirming):
    """A server that is reached under some of its addresses."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self.addresses, self.tried = addresses, list[str]()
        self.state, self.cause = str(Reachability.PROVEN), ""

    def check(self) -> None:
        """It answers."""

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Whether the address is one of those."""
        self.tried += [knock.address for knock in knocks]
        silent = Found(Reachability.UNREACHABLE, ProofCause.SILENT, reason("no-route", host="the hub"))
        return [
            {"wireguard": Found(self.state, self.cause) if knock.address in self.addresses else silent}
            for knock in knocks
        ]


def provisioned(
    admin: Membership, server: Reachable, monkeypatch: pytest.MonkeyPatch
) -> tuple[Instance, OperationStep]:
    for job in ("provision", "proving", "apply"):
        monkeypatch.setattr(f"vpn.jobs.{job}.driver_for", lambda name: server)
    instance = create_instance(admin.organization, name="Frankfurt", hostname="fra", region=make_region(), by=BY)
    provision_instance(str(instance.pk))
    instance.refresh_from_db()
    return instance, OperationStep.objects.get(operation__instance=instance, name="proof")


@pytest.mark.parametrize(
    ("addresses", "answering", "ready", "words"),
    [
        ((V4, V6), (V4, V6), True, [V4, f"So were those through {V6}"]),
        ((V4, V6), (V4,), True, [V4, f"{V6} port", "There is no route to the hub from here."]),
        ((V4, V6), (V6,), False, [f"{V4} port"]),
        ((V6, None), (V6,), True, [V6]),
        ((V6, None), (), False, [V6]),
    ],
)
def test_ipv4_has_to_be_proven_where_there_is_one_and_the_other_is_told(
    admin: Membership,
    monkeypatch: pytest.MonkeyPatch,
    addresses: tuple[str, str | None],
    answering: tuple[str, ...],
    ready: bool,
    words: list[str],
) -> None:
    make_region()
    Server.objects.update(address=addresses[0], address_v6=addresses[1])
    instance, step = provisioned(admin, Reachable(*answering), monkeypatch)
    assert instance.state == (InstanceState.READY if ready else InstanceState.FAILED)
    assert step.state == (StepState.SUCCEEDED if ready else StepState.FAILED)
    for word in words:
        assert word in step.message


@pytest.mark.parametrize(("address", "servers"), [(V4, DEFAULT_PUBLIC_DNS), (V6, DEFAULT_PUBLIC_DNS_V6)])
def test_a_hub_begins_with_resolvers_that_it_can_ask(
    admin: Membership, monkeypatch: pytest.MonkeyPatch, address: str, servers: tuple[str, ...]
) -> None:
    make_region()
    Server.objects.update(address=address)
    instance, _ = provisioned(admin, Reachable(address), monkeypatch)
    assert instance.public_dns == list(servers)


@pytest.mark.parametrize(
    ("state", "cause", "code", "words"),
    [
        (Reachability.UNPROVEN, ProofCause.NAT, Code.HUB_UNPROVEN, "the first device will prove"),
        (Reachability.UNREACHABLE, ProofCause.FIREWALL, Code.HUB_UNREACHABLE, "a firewall on the server drops"),
    ],
)
def test_a_hub_that_runs_is_ready_and_says_what_is_not_proven(
    admin: Membership, monkeypatch: pytest.MonkeyPatch, state: str, cause: str, code: Code, words: str
) -> None:
    make_region()
    server = Reachable(V4)
    server.state, server.cause = state, cause
    instance, step = provisioned(admin, server, monkeypatch)
    assert (instance.state, step.state) == (InstanceState.READY, StepState.SUCCEEDED)
    assert words in step.message
    assert reachable(instance)["wireguard"] == state
    assert [need.code for need in needs_of(instance)] == [code]


def test_a_server_without_an_address_stops_the_first_step_with_a_code(
    admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = make_region()
    Server.objects.update(address=None, address_v6=None)
    monkeypatch.setattr("vpn.jobs.provision.driver_for", lambda name: Reachable())
    instance = create_instance(admin.organization, name="Frankfurt", hostname="fra", region=region, by=BY)
    provision_instance(str(instance.pk))
    instance.refresh_from_db()
    assert instance.state == InstanceState.FAILED
    step = OperationStep.objects.get(operation__instance=instance, state=StepState.FAILED)
    assert (step.name, step.refusal) == ("server", failures.NO_ADDRESS.of().document())
    assert step.message == sentence_of(failures.NO_ADDRESS.of())
