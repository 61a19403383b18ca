"""What a change would mean, and that asking changes nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.actions.group import change_group, create_group
from portal.exceptions import Conflict, InvalidInput
from portal.models import Membership, Organization
from tests.factories import (
    BY,
    make_instance,
    make_member,
    make_organization,
    make_site,
    observe_peers,
    settle,
    work_out_plans,
)
from tests.vpn.planned import planned
from vpn import doorbell
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import Platform, ProfileState, Protocol
from vpn.constants import DEFAULT_MTU, DEFAULT_PUBLIC_DNS
from vpn.models import ChangePlan, Instance, Peer, PeerObservation, Site
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import profile_states
from vpn.reach.listing import Line

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def anna(organization: Organization) -> Membership:
    return make_member(organization, name="Anna")


@pytest.fixture
def instance(organization: Organization, anna: Membership) -> Instance:
    """A hub with devices of each kind, a site of each protocol, and every profile delivered but the last."""
    made = make_instance(organization)
    for protocol in Protocol.values:
        site = make_site(organization, name=f"Office {protocol}")
        subnet = "10.1.0.0/24" if protocol == Protocol.WIREGUARD else "10.2.0.0/24"
        create_site_peer(made, site=site, subnets=[subnet], protocol=protocol, by=BY)
        for route_all in (False, True):
            create_client_peer(
                made, member=anna, device=f"{protocol} {route_all}", route_all=route_all, protocol=protocol, by=BY
            )
    settle(made)
    for peer in made.peers.select_related("instance"):
        deliver_profile(peer, by=BY)
    create_client_peer(made, member=anna, device="never fetched", by=BY)
    ChangePlan.objects.all().delete()
    return settle(made)


def peer_called(instance: Instance, device: str) -> Peer:
    return instance.peers.select_related("instance__server", "member__user", "site").get(device=device)


def names(instance: Instance, ids: list[UUID]) -> set[str]:
    return {peer.site.name if peer.site else peer.device for peer in instance.peers.filter(pk__in=ids)}


def test_a_pushed_route_outdates_the_split_tunnels_of_wireguard_and_is_told_to_those_of_openvpn(
    instance: Instance,
) -> None:
    plan = planned(lambda: update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY))
    assert names(instance, plan.outdated) == {"wireguard False", "Office wireguard"}
    assert names(instance, plan.pushed) == {"openvpn False", "Office openvpn"}
    assert plan.delivered == 6
    assert plan.reachability == []


def test_asking_changes_nothing_and_rings_for_nothing(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[UUID] = []
    monkeypatch.setattr(doorbell, "enqueue_apply", lambda pk, *_, **__: rung.append(pk))
    with django_capture_on_commit_callbacks(execute=True):
        planned(lambda: update_instance(instance, mtu=1300, firewall_policy="deny", by=BY))
        planned(lambda: delete_peer(peer_called(instance, "wireguard False"), by=BY))
    fresh = Instance.objects.get(pk=instance.pk)
    assert (fresh.mtu, fresh.desired_generation) == (DEFAULT_MTU, instance.desired_generation)
    assert fresh.peers.count() == 7
    assert not rung
    assert not ChangePlan.objects.exists()


def test_a_policy_closes_what_was_open(instance: Instance, anna: Membership) -> None:
    plan = planned(lambda: update_instance(instance, firewall_policy="deny", by=BY))
    site = instance.peers.get(site__name="Office openvpn").site_id
    assert Line(f"user:{anna.pk}", f"site:{site}", "any", "", before=True, after=False) in plan.reachability
    assert plan.outdated == []


def test_a_group_that_grows_opens_what_its_rules_allow(instance: Instance, organization: Organization) -> None:
    ben = make_member(organization, name="Ben")
    create_client_peer(instance, member=ben, device="tablet", by=BY)
    group = create_group(organization, name="Technicians", members=[], by=BY)
    site = instance.peers.get(site__name="Office openvpn").site_id
    rule = {"source": f"group:{group.pk}", "destination": f"site:{site}", "protocol": "tcp", "port": "22"}
    update_instance(instance, firewall_policy="deny", firewall=[rule], by=BY)
    plan = planned(lambda: change_group(group, members=[ben.pk], by=BY))
    assert plan.reachability == [Line(f"user:{ben.pk}", f"site:{site}", "tcp", "22", before=False, after=True)]


def test_another_protocol_outdates_its_own_profile_alone(instance: Instance) -> None:
    peer = peer_called(instance, "wireguard True")
    plan = planned(lambda: update_peer(peer, protocol=Protocol.OPENVPN, by=BY))
    assert plan.outdated == [peer.pk]


def test_a_site_that_goes_closes_its_subnets(instance: Instance) -> None:
    peer = instance.peers.select_related("site").get(site__name="Office wireguard")
    plan = planned(lambda: delete_peer(peer, by=BY))
    assert names(instance, plan.outdated) == {"wireguard False"}
    assert {line.after for line in plan.reachability} == {False}
    assert f"site:{peer.site_id}" in {line.destination for line in plan.reachability}


def test_a_refused_change_is_refused_when_asked(instance: Instance) -> None:
    with pytest.raises(InvalidInput):
        planned(lambda: update_instance(instance, mtu=9, by=BY))
    peer = instance.peers.get(site__name="Office wireguard")
    with pytest.raises(Conflict):
        planned(lambda: update_peer(peer, subnets=["10.2.0.0/24"], by=BY))


def test_saving_notes_the_plan_with_the_generation_that_it_led_to(instance: Instance) -> None:
    update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY)
    work_out_plans(instance)
    noted = ChangePlan.objects.get()
    assert noted.generation == instance.desired_generation + 1
    assert len(noted.plan["outdated"]) == noted.plan["outdated_count"] == len(noted.outdated) == 2
    assert noted.plan["delivered"] == 6


def test_adding_devices_and_shutting_them_out_is_not_held_up_by_plans(instance: Instance, anna: Membership) -> None:
    peer = create_client_peer(instance, member=anna, device="another", by=BY)
    update_peer(peer, enabled=False, by=BY)
    delete_peer(peer, by=BY)
    assert not ChangePlan.objects.exists()


_changes = st.fixed_dictionaries(
    {},
    optional={
        "mtu": st.sampled_from([1280, DEFAULT_MTU]),
        "pushed_routes": st.lists(st.sampled_from(["198.51.100.0/24", "10.1.0.0/25", "192.0.2.0/24"]), unique=True),
        "public_dns": st.lists(st.sampled_from(["9.9.9.9", "1.1.1.1"]), min_size=1, unique=True),
        "firewall_policy": st.sampled_from(["allow", "deny"]),
    },
)


def _configuring(peer: Peer) -> str:
    """What the rendered file configures: its lines but for comments."""
    return "\n".join(line for line in render_profile(peer).content.splitlines() if not line.startswith("#"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=_changes, second=_changes)
def test_a_device_is_marked_if_and_only_if_its_file_would_be_another_one(
    instance: Instance, first: dict[str, Any], second: dict[str, Any]
) -> None:
    update_instance(
        instance, mtu=DEFAULT_MTU, pushed_routes=[], public_dns=list(DEFAULT_PUBLIC_DNS), firewall_policy="allow", by=BY
    )
    rows = instance.peers.exclude(delivered_digest="").select_related("instance__server", "member__user", "site")
    delivered = {peer.pk: _configuring(peer) for peer in rows.all()}
    for change in (first, second):
        before = profile_states(Instance.objects.get(pk=instance.pk), rows.all())
        plan = planned(lambda change=change: update_instance(instance, by=BY, **change))  # type: ignore[misc]
        update_instance(instance, by=BY, **change)
        after = profile_states(Instance.objects.get(pk=instance.pk), rows.all())
        for peer in rows.all():
            is_another = _configuring(peer) != delivered[peer.pk]
            assert (after[peer.pk] == ProfileState.OUTDATED) == is_another
            became = before[peer.pk] == ProfileState.CURRENT and is_another
            assert (peer.pk in plan.outdated) == became


def test_the_plan_counts_who_reconnects_and_asking_marks_nobody(instance: Instance) -> None:
    phone = peer_called(instance, "openvpn False")
    observe_peers(phone, connected_from=timezone.now())
    plan = planned(lambda: update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY))
    assert (len(plan.pushed), plan.reconnecting) == (2, 1)
    assert not PeerObservation.objects.filter(push_generation__isnull=False).exists()
    update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY)
    work_out_plans(instance)
    marked = PeerObservation.objects.get(push_generation__isnull=False)
    assert marked.pk == phone.pk
    noted = ChangePlan.objects.get()
    assert marked.push_generation == noted.generation
    assert noted.plan["reconnecting_count"] == 1


def test_a_router_that_keeps_its_routes_itself_is_told_nothing(instance: Instance, organization: Organization) -> None:
    site = make_site(organization, name="Old plant")
    Site.objects.filter(pk=site.pk).update(platform=Platform.ROUTEROS6)
    site.refresh_from_db()
    router = create_site_peer(instance, site=site, subnets=["10.9.0.0/24"], protocol=Protocol.OPENVPN, by=BY)
    plan = planned(lambda: update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY))
    assert plan.pushed
    assert router.pk not in plan.pushed
