"""Operators manage the peers of named instances, and nothing else."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from portal.actions.member import add_member, change_member
from portal.exceptions import InvalidInput
from portal.models import ApiToken, JournalEntry, Membership, Organization, Role
from tests.factories import (
    BY,
    an_admin,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
    settle,
)
from tests.fixtures import signed_in
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.instance import forget_instance
from vpn.models import Instance, Peer, Site

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(organization: Organization) -> Instance:
    """An instance of the organization that the operator is not for."""
    return make_instance(organization, name="Other hub")


@pytest.fixture
def operator(organization: Organization, instance: Instance) -> Membership:
    return make_member(organization, Role.OPERATOR, instance_ids=[str(instance.pk)])


@pytest.fixture
def browser(operator: Membership) -> Client:
    return signed_in(operator.user)


@pytest.fixture
def program(operator: Membership) -> Caller:
    return Caller(ApiToken.issue(operator)[1])


# Choosing them --------------------------------------------------------------------------------------------------------


def test_an_admin_makes_somebody_an_operator_of_instances(
    admin_browser: Client, member: Membership, instance: Instance
) -> None:
    form = {"name": "", "role": "operator", "active": "true", "instances": [str(instance.pk)]}
    assert admin_browser.post(f"/people/{member.pk}/", form).status_code == 302
    member.refresh_from_db()
    assert member.role == Role.OPERATOR
    assert set(member.operated) == {instance.pk}
    assert f"Operator of {instance.name}" in admin_browser.get(f"/people/{member.pk}/").content.decode()
    line = JournalEntry.objects.get(code="member.changed")
    assert line.details == {"instances": [instance.name]}
    assert line.changes["role"] == ["member", "operator"]


def test_an_operator_is_invited_with_instances(admin_browser: Client, instance: Instance) -> None:
    form = {"email": "new@example.org", "name": "", "role": "operator", "instances": [str(instance.pk)]}
    admin_browser.post("/people/new/", form)
    assert Membership.objects.get(user__email="new@example.org").operated == {instance.pk}


def test_another_role_has_no_instances(operator: Membership, instance: Instance) -> None:
    changed = change_member(operator, by=BY, role=Role.MEMBER, instances=[])
    assert (changed.instance_ids, changed.operated) == (None, frozenset())
    with pytest.raises(InvalidInput, match="Only operators"):
        change_member(changed, by=BY, instances=[instance.pk])


def test_a_change_of_the_role_alone_ends_the_instances(operator: Membership) -> None:
    assert change_member(operator, by=BY, role=Role.AUDITOR).instance_ids is None


@pytest.mark.parametrize("wanted", [[], [uuid4()]])
def test_an_operator_needs_instances_of_the_organization(organization: Organization, wanted: list[object]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        add_member(organization, by=BY, email="new@example.org", role=Role.OPERATOR, instances=wanted)  # type: ignore[arg-type]
    assert list(refusal.value.errors) == ["instances"]


def test_another_organizations_instance_is_none(organization: Organization) -> None:
    elsewhere = make_instance(make_organization("Elsewhere"))
    with pytest.raises(InvalidInput, match="instances of this organization"):
        add_member(organization, by=BY, email="new@example.org", role=Role.OPERATOR, instances=[elsewhere.pk])


def test_the_api_reads_and_sets_them(admin: Membership, member: Membership, instance: Instance) -> None:
    api = Caller(ApiToken.issue(admin)[1])
    body = {"role": "operator", "instances": [str(instance.pk)]}
    read = told(api.put(f"/users/{member.pk}", body), 200)
    assert (read["role"], read["instances"]) == ("operator", [str(instance.pk)])
    assert told(api.put(f"/users/{member.pk}", read), 200) == read
    assert list(refused(api.put(f"/users/{member.pk}", {"instances": []}), 422)["errors"]) == ["instances"]
    assert told(api.put(f"/users/{member.pk}", {"role": "member"}), 200)["instances"] == []


def test_a_deleted_instance_leaves_the_list(
    operator: Membership, instance: Instance, other: Instance, django_capture_on_commit_callbacks: Any
) -> None:
    change_member(operator, by=BY, instances=[instance.pk, other.pk])
    with django_capture_on_commit_callbacks(execute=True):
        forget_instance(instance, by=BY)
    operator.refresh_from_db()
    assert operator.instance_ids == [str(other.pk)]


# The pages ------------------------------------------------------------------------------------------------------------


def test_the_list_has_their_instances_alone(browser: Client, instance: Instance, other: Instance) -> None:
    page = browser.get("/").content.decode()
    assert instance.name in page
    assert other.name not in page
    assert "/people/" not in page
    assert "/settings/" not in page


def test_the_page_of_an_instance_has_peers_alone(browser: Client, instance: Instance) -> None:
    page = browser.get(f"/instances/{instance.pk}/").content.decode()
    assert f"/instances/{instance.pk}/peers/client/" in page or "Add peer" in page
    for tab in ("routing", "dns", "firewall", "settings", "activity"):
        assert f"/instances/{instance.pk}/{tab}/" not in page
        assert browser.get(f"/instances/{instance.pk}/{tab}/").status_code == 403


def test_other_instances_and_their_peers_are_not_there(
    browser: Client, program: Caller, other: Instance, member: Membership
) -> None:
    peer = make_client_peer(other, member)
    for part in ("", "routing/", "dns/", "firewall/", "settings/", "activity/", "delete/"):
        assert browser.get(f"/instances/{other.pk}/{part}").status_code == 404
    for path in (f"/peers/{peer.pk}/", f"/peers/{peer.pk}/edit/", f"/peers/{peer.pk}/delete/"):
        assert browser.get(path).status_code == 404
    refused(program.get(f"/instances/{other.pk}/peers"), 404)
    refused(program.delete(f"/instances/{other.pk}/peers/{peer.pk}"), 404)
    # Not by the address of an instance of theirs either.
    [own] = [one for one in Instance.objects.all() if one.pk != other.pk]
    refused(program.get(f"/instances/{own.pk}/peers/{peer.pk}"), 404)


def test_their_peers_are_managed(browser: Client, member: Membership, instance: Instance) -> None:
    form = {"user_id": str(member.pk), "device": "phone", "route_all": "false", "protocol": "wireguard"}
    url = f"/instances/{instance.pk}/peers/new-client/"
    assert browser.get(url).status_code == 200
    assert browser.post(url, form).status_code == 302
    peer = Peer.objects.get(member=member)
    settle(instance)
    assert browser.post(f"/peers/{peer.pk}/edit/", {"device": "tablet", "route_all": "true"}).status_code == 302
    assert browser.post(f"/peers/{peer.pk}/link/").status_code == 200
    assert browser.post(f"/peers/{peer.pk}/delete/").status_code == 302
    assert not Peer.objects.exists()


def test_their_own_device_elsewhere_is_theirs_to_fetch_alone(
    browser: Client, operator: Membership, other: Instance
) -> None:
    peer = make_client_peer(other, operator)
    settle(other)
    assert browser.post(f"/peers/{peer.pk}/profile/").status_code == 200
    assert browser.get(f"/peers/{peer.pk}/edit/").status_code == 403


def test_an_operator_without_instances_manages_nothing(
    browser: Client, operator: Membership, instance: Instance
) -> None:
    Membership.objects.filter(pk=operator.pk).update(instance_ids=[])
    assert "operator of no instance" in browser.get("/").content.decode()
    assert browser.get(f"/instances/{instance.pk}/").status_code == 404


# Sites ----------------------------------------------------------------------------------------------------------------


def test_a_site_of_another_instance_is_not_theirs_to_connect(
    browser: Client, program: Caller, instance: Instance, other: Instance, organization: Organization
) -> None:
    free, taken = make_site(organization, name="Free"), make_site(organization, name="Taken")
    make_site_peer(other, taken)
    url = f"/instances/{instance.pk}/peers/new-site/"
    page = browser.get(url).content.decode()
    assert str(free.pk) in page
    assert str(taken.pk) not in page
    form = {"site_id": str(taken.pk), "subnets": "192.168.77.0/24", "protocol": "wireguard"}
    assert browser.post(url, form).status_code == 200
    body = {"type": "site", "site_id": str(taken.pk), "subnets": ["192.168.77.0/24"], "protocol": "wireguard"}
    refused(program.post(f"/instances/{instance.pk}/peers", body), 403, "token-instances-only")
    assert browser.post(url, {**form, "site_id": str(free.pk)}).status_code == 302


def test_no_new_site_is_added(browser: Client, instance: Instance) -> None:
    form = {"site_name": "Oslo", "site_platform": "linux", "subnets": "192.168.78.0/24", "protocol": "wireguard"}
    page = browser.post(f"/instances/{instance.pk}/peers/new-site/", form).content.decode()
    assert "An admin can add a new one." in page
    assert not Site.objects.filter(name="Oslo").exists()


def test_subnets_that_other_hubs_follow_stay(
    browser: Client, instance: Instance, other: Instance, organization: Organization
) -> None:
    site = make_site(organization)
    peer = make_site_peer(instance, site)
    make_site_peer(other, site)
    peer.refresh_from_db()
    before = list(peer.subnets)
    form = {"subnets": "192.168.99.0/24", "subnets_shown": " ".join(before), "protocol": "wireguard"}
    assert browser.post(f"/peers/{peer.pk}/edit/", form).status_code == 302
    peer.refresh_from_db()
    assert peer.subnets == before
    assert other.name not in browser.get(f"/peers/{peer.pk}/edit/").content.decode()


# Calls ----------------------------------------------------------------------------------------------------------------


def test_a_token_of_an_operator_has_at_most_their_right(
    operator: Membership, program: Caller, instance: Instance, other: Instance
) -> None:
    told(program.get(f"/instances/{instance.pk}/peers"), 200)
    for path in ("/instances", f"/instances/{instance.pk}", "/sites", "/users", "/events", "/groups", "/tokens"):
        refused(program.get(path), 403, "operator-peers-only")
    wider = Caller(ApiToken.issue(operator, instances=[other.pk])[1])
    refused(wider.get(f"/instances/{other.pk}/peers"), 404)
    refused(wider.get(f"/instances/{instance.pk}/peers"), 404)


def test_a_former_admins_token_ends(organization: Organization, instance: Instance) -> None:
    former = make_member(organization, Role.ADMIN)
    program = Caller(ApiToken.issue(former)[1])
    told(program.get("/instances"), 200)
    change_member(former, by=an_admin(organization).principal, role=Role.OPERATOR, instances=[instance.pk])
    refused(program.get("/instances"), 401, "token-invalid")
