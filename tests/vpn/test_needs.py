"""What needs someone, and why: the one place, and that overview, instance page and API all say it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from portal.models import Membership, Organization
from tests.factories import (
    BY,
    an_admin,
    make_client_peer,
    make_instance,
    make_site,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
)
from tests.vpn.api.caller import Caller
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import InstanceState, OperationKind, Protocol
from vpn.models import Instance, ListenerProof, Operation, Server
from vpn.needs import Code, needs_of, needs_of_all
from vpn.observed import record_observations
from vpn.presenters.needs import hubs_health, notices_of
from vpn.presenters.needs.notice import WORDS
from vpn.wire.identity import SCHEMA
from vpn.wire.report import HubReport, parse_report
from vpn.wire.report_values import ReportInvalidError

pytestmark = pytest.mark.django_db

NOW = timezone.now
CALM = ("nothing needs attention",)


def prove(instance: Instance, **states: str) -> None:
    """Note how the listeners are found."""
    causes = {"unreachable": "firewall", "unproven": "nat"}
    for listener, state in states.items():
        failing = None if state == "proven" else NOW() - timedelta(minutes=2)
        ListenerProof.objects.update_or_create(
            instance=instance,
            listener=listener,
            defaults={"state": state, "cause": causes.get(state, ""), "failing_since": failing},
        )


def all_proven(instance: Instance) -> None:
    prove(instance, wireguard="proven", openvpn_udp="proven", openvpn_tcp="proven")


def lost(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.LOST)


def failed(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.FAILED, configured=False)


def refused(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(failure="The disk is full.")


def stuck(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(
        desired_generation=instance.desired_generation + 1, lagging_since=NOW() - timedelta(minutes=3)
    )


def silent(instance: Instance) -> None:
    observe_hubs(instance, observed_at=NOW() - timedelta(minutes=3))


def late(instance: Instance) -> None:
    observe_hubs(instance, observed_at=NOW() - timedelta(seconds=45))


def never_heard_of(instance: Instance) -> None:
    observe_hubs(instance, observed_at=None)


def walled_off(instance: Instance) -> None:
    prove(instance, wireguard="unreachable", openvpn_udp="unreachable", openvpn_tcp="unreachable")


def behind_nat(instance: Instance) -> None:
    prove(instance, wireguard="unproven", openvpn_udp="unproven", openvpn_tcp="unproven")


def without_names(instance: Instance) -> None:
    observe_hubs(instance, silent_resolvers=instance.public_dns)


def agent_of_another_version(instance: Instance) -> None:
    Server.objects.update(agent_version="fedcba987654", agent_schema=SCHEMA + 1)


def site_gone(instance: Instance, name: str = "Berlin") -> None:
    peer = make_site_peer(instance, make_site(instance.organization, name=name))
    settle(instance)
    observe_peers(peer, last_handshake=NOW() - timedelta(minutes=20))


def openvpn_site_gone(instance: Instance) -> None:
    site_gone(instance)
    instance.peers.update(protocol=Protocol.OPENVPN)


def moved(instance: Instance) -> None:
    peer = make_client_peer(instance, instance.organization.memberships.select_related("user").all()[0])
    settle(instance)
    deliver_profile(peer, by=BY)
    Server.objects.update(address="198.51.100.7")


def drifting(instance: Instance) -> None:
    for _ in range(3):
        Operation.objects.create(instance=instance, kind=OperationKind.APPLY, drift=["A route."], state="succeeded")


NEEDS: list[tuple[Callable[[Instance], None], Code, tuple[str, ...]]] = [
    (lost, Code.LOST, ("server no longer answers",)),
    (failed, Code.PROVISIONING_FAILED, ("Provisioning stopped",)),
    (refused, Code.APPLY_FAILED, ("The disk is full.",)),
    (stuck, Code.APPLY_STUCK, ("Changes do not reach the hub",)),
    (silent, Code.HUB_SILENT, ("does not report",)),
    (never_heard_of, Code.HUB_SILENT, ("does not report",)),
    (late, Code.HUB_LATE, ("observed late", "was last observed at")),
    (walled_off, Code.HUB_UNREACHABLE, ("firewall", "20000-32767", "203.0.113.1")),
    (behind_nat, Code.HUB_UNPROVEN, ("NAT", "20000-32767", "device")),
    (without_names, Code.RESOLVER_SILENT, ("9.9.9.9", "No public name resolves")),
    (agent_of_another_version, Code.AGENT_DIFFERS, ("different versions",)),
    (site_gone, Code.SITE_SILENT, ("Berlin",)),
    (openvpn_site_gone, Code.SITE_SILENT, ("Berlin",)),
    (moved, Code.ADDRESS_CHANGED, ("203.0.113.1", "198.51.100.7")),
    (drifting, Code.DRIFT_RECURRING, ("keeps changing",)),
]


@pytest.mark.parametrize(("happens", "code", "words"), NEEDS, ids=[need[0].__name__ for need in NEEDS])
def test_whatever_needs_someone_is_said_everywhere(
    admin_browser: Client,
    organization: Organization,
    happens: Callable[[Instance], None],
    code: Code,
    words: tuple[str, ...],
) -> None:
    instance = make_instance(organization, name="Frankfurt")
    all_proven(instance)
    happens(instance)
    instance.refresh_from_db()
    needs = notices_of(instance)
    assert code in {need.code for need in needs}
    overview = admin_browser.get("/").content.decode()
    assert "1 of 1 needs attention" in overview
    assert "nothing needs attention" not in overview
    need = next(need for need in needs if need.code == code)
    assert escape(need.title) in overview
    page = admin_browser.get(f"/instances/{instance.pk}/").content.decode()
    assert escape(need.title) in page
    for word in words:
        assert word in page
    told = Caller.of(an_admin(organization)).get(f"/instances/{instance.pk}").json()
    message = {need["code"]: need["message"] for need in told["needs"]}[code]
    for word in words:
        assert word in need.title + message


def test_a_hub_that_is_well_needs_nobody(admin_browser: Client, organization: Organization) -> None:
    instance = make_instance(organization)
    all_proven(instance)
    assert needs_of(instance) == []
    assert "The hub is up; nothing needs attention" in admin_browser.get("/").content.decode()
    assert "Ready" in admin_browser.get(f"/instances/{instance.pk}/").content.decode()
    assert hubs_health() == "ok"


@pytest.mark.parametrize("happens", [walled_off, behind_nat, silent, stuck, refused])
def test_no_chip_says_ready_where_the_hub_is_not(
    admin_browser: Client, organization: Organization, happens: Callable[[Instance], None]
) -> None:
    instance = make_instance(organization)
    happens(instance)
    for path in ("/", f"/instances/{instance.pk}/", f"/instances/{instance.pk}/progress/"):
        page = admin_browser.get(path).content.decode()
        assert '<span class="chip chip--good">Ready</span>' not in page
        assert "The hub is ready" not in page


def test_the_ports_of_what_is_unreachable_are_named(organization: Organization) -> None:
    instance = make_instance(organization)
    prove(instance, wireguard="proven", openvpn_udp="unreachable", openvpn_tcp="unreachable")
    (need,) = notices_of(instance)
    assert f"UDP {instance.openvpn_port}, TCP {instance.openvpn_port}" in need.message
    assert str(instance.wireguard_port) not in need.message
    assert need.chip == "Partly unreachable"


def test_one_device_proves_that_a_router_forwards(organization: Organization) -> None:
    instance = make_instance(organization)
    prove(instance, wireguard="proven", openvpn_udp="unproven", openvpn_tcp="unproven")
    assert needs_of(instance) == []
    prove(instance, wireguard="unproven", openvpn_udp="unproven", openvpn_tcp="unproven")
    assert [need.code for need in needs_of(instance)] == [Code.HUB_UNPROVEN]


def test_a_site_that_is_meant_to_be_off_does_not_count(organization: Organization) -> None:
    instance = make_instance(organization)
    site_gone(instance)
    instance.peers.update(enabled=False)
    instance.refresh_from_db()
    assert needs_of(instance) == []


def test_nobody_is_called_silent_by_a_hub_that_is_silent_itself(organization: Organization) -> None:
    instance = make_instance(organization)
    site_gone(instance)
    silent(instance)
    instance.refresh_from_db()
    assert [need.code for need in needs_of(instance)] == [Code.HUB_SILENT]


def test_one_resolver_that_answers_is_enough(organization: Organization) -> None:
    instance = make_instance(organization)
    observe_hubs(instance, silent_resolvers=instance.public_dns[:1])
    assert needs_of(instance) == []


def test_a_change_that_has_just_been_made_needs_nobody(organization: Organization) -> None:
    instance = make_instance(organization)
    stuck(instance)
    Instance.objects.update(lagging_since=NOW() - timedelta(seconds=20))
    instance.refresh_from_db()
    assert needs_of(instance) == []


def test_what_does_not_end_needs_someone(organization: Organization) -> None:
    young = make_instance(organization, state=InstanceState.PROVISIONING)
    assert needs_of(young) == []
    young.operations.update(started_at=NOW() - timedelta(hours=1))
    assert [need.code for need in needs_of(young)] == [Code.PROVISIONING_STUCK]


def test_many_hubs_ask_no_more_queries(organization: Organization, django_assert_num_queries: object) -> None:
    made = [make_instance(organization, name=f"Hub {number}") for number in range(6)]
    for instance in made:
        walled_off(instance)
        site_gone(instance, f"Site of {instance.name}")
    rows = list(Instance.objects.select_related("server", "observation", "public_name"))
    with django_assert_num_queries(4):  # type: ignore[operator]
        found = needs_of_all(rows)
    assert all(len(found[instance.pk]) == 2 for instance in made)


def test_health_asks_for_what_concerns_the_operator_alone(
    organization: Organization, django_assert_num_queries: object
) -> None:
    """Instances and proofs; not sites, profiles and drift, however many hubs there are."""
    for number in range(6):
        site_gone(make_instance(organization, name=f"Hub {number}"), f"Site {number}")
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert hubs_health() == "ok"


def test_health_counts_hubs_and_names_none(client: Client, organization: Organization, admin: Membership) -> None:
    instance = make_instance(organization, name="Secret name")
    make_instance(organization)
    walled_off(instance)
    assert hubs_health() == "1 of 2 hubs need attention: 1 not reachable from outside."


def test_a_look_that_is_late_says_since_when_and_is_counted_for_the_operator(organization: Organization) -> None:
    instance = make_instance(organization)
    make_instance(organization)
    all_proven(instance)
    late(instance)
    (need,) = notices_of(instance)
    assert need.since is not None
    assert f"{need.since:%H:%M:%S} UTC" in need.message
    assert hubs_health() == "1 of 2 hubs need attention: 1 observed late."
    walled_off(instance)
    assert [need.code for need in needs_of(instance)] == [Code.HUB_UNREACHABLE, Code.HUB_LATE], "the worse one first"


def test_what_the_hub_says_of_its_resolvers_becomes_a_need_and_goes_again(organization: Organization) -> None:
    instance = make_instance(organization)

    def told(answers: dict[str, bool] | None) -> list[str]:
        report = HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, upstreams=answers)
        record_observations({instance.pk: report})
        instance.refresh_from_db()
        return [need.code for need in needs_of(instance)]

    first, second = instance.public_dns
    assert told({first: False, second: True}) == []
    assert told({first: False, second: False}) == [Code.RESOLVER_SILENT]
    assert told(None) == [Code.RESOLVER_SILENT], "not known just now"
    assert told({first: True, second: False}) == []


@pytest.mark.parametrize("answers", [[], {"x y": True}, {"9.9.9.9\n": True}, {str(n): True for n in range(1000)}])
def test_what_a_server_makes_up_about_resolvers_is_refused(answers: object) -> None:
    report = HubReport("abcdefghij", 1, 1, "", alive=True, observed_at=0.0).document()
    with pytest.raises(ReportInvalidError):
        parse_report({**report, "upstreams": answers})


def test_every_reason_has_words() -> None:
    assert WORDS.keys() | {Code.DRIFT_RECURRING, Code.PORTAL_DEGRADED} == set(Code)
