"""Which of a server's addresses have to be proven before an instance is ready."""

from __future__ import annotations

import pytest

from portal.models import Membership
from tests.factories import make_region
from tests.vpn.test_apply_job import Server as Confirming
from vpn.actions.instance import create_instance
from vpn.choices import InstanceState, StepState
from vpn.constants import DEFAULT_PUBLIC_DNS, DEFAULT_PUBLIC_DNS_V6
from vpn.drivers.base import Proof
from vpn.jobs.provision import provision_instance
from vpn.models import Instance, OperationStep, Server

V4, V6 = "203.0.113.1", "2001:db8::1"


class Reachable(Confirming):
    """A server that is reached under some of its addresses."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self.addresses, self.tried = addresses, list[str]()

    def check(self) -> None:
        """It answers."""

    def prove(self, proof: Proof) -> str:
        """Whether the address is one of those."""
        self.tried.append(proof.endpoint_host)
        return "" if proof.endpoint_host in self.addresses else "Nothing came back."


def provisioned(
    admin: Membership, server: Reachable, monkeypatch: pytest.MonkeyPatch
) -> tuple[Instance, OperationStep]:
    monkeypatch.setattr("vpn.jobs.provision.driver_for", lambda name: server)
    monkeypatch.setattr("vpn.jobs.apply.driver_for", lambda name: server)
    instance = create_instance(admin, name="Frankfurt", hostname="fra", region=make_region())
    provision_instance(str(instance.pk))
    instance.refresh_from_db()
    return instance, OperationStep.objects.get(operation__instance=instance, name="proof")


@pytest.mark.parametrize(
    ("addresses", "answering", "ready", "words"),
    [
        ((V4, V6), (V4, V6), True, [V4, f"So were those through {V6}"]),
        ((V4, V6), (V4,), True, [V4, f"{V6} port", "Nothing came back."]),
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
