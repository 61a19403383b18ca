"""An operation says who asked for it: on Activity and in the API, and still when that account is gone."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.member import remove_member
from portal.models import ApiToken, Membership, Organization, Principal, Role
from tests.factories import BY, make_instance, make_member, make_region, settle
from tests.vpn.api.caller import Caller, told
from tests.vpn.confirming_server import Server, refuse
from vpn.actions.instances.instance import create_instance, retry_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.peer import create_client_peer, delete_peer
from vpn.drivers.base import AgentError, errors
from vpn.jobs.apply import apply_instance, apply_urgently
from vpn.jobs.certificates import renew_certificates
from vpn.models import Instance, Operation, Peer

pytestmark = pytest.mark.usefixtures("server")
PORTAL = Principal.portal("a peer's time is over")


@pytest.fixture
def api(admin: Membership) -> Caller:
    """The admin's program."""
    return Caller.of(admin)


def asked_by(instance: Instance) -> list[str]:
    """Apply, and say who asked for that by the newest operation."""
    apply_instance(str(instance.pk))
    return [str(Principal.from_document(one)) for one in instance.operations.all()[0].asked_by]


def activity(browser: Client, instance: Instance) -> str:
    """What Activity says."""
    return html.unescape(browser.get(f"/instances/{instance.pk}/activity/").content.decode())


def test_a_page_names_the_member_who_saved(admin_browser: Client, admin: Membership, instance: Instance) -> None:
    admin_browser.post(f"/instances/{instance.pk}/settings/", {"name": instance.name, "mtu": "1300"})
    assert asked_by(instance) == [admin.user.email]
    assert f"Asked by {admin.user.email}" in activity(admin_browser, instance)


def test_the_api_names_its_token(api: Caller, admin: Membership, instance: Instance, admin_browser: Client) -> None:
    token = ApiToken.objects.get(membership=admin)
    ApiToken.objects.filter(pk=token.pk).update(name="deploy")
    told(api.put(f"/instances/{instance.pk}", {"mtu": 1300}), 200)
    assert asked_by(instance) == ["the API token deploy"]
    newest = told(api.get(f"/instances/{instance.pk}/operations"), 200)[0]
    assert newest["asked_by"] == [{"kind": "token", "id": str(token.pk), "name": "deploy", "reason": ""}]
    assert "Asked by the API token deploy" in activity(admin_browser, instance)


def test_the_name_of_who_left_stays(organization: Organization, instance: Instance, admin_browser: Client) -> None:
    boss = make_member(organization, Role.ADMIN, email="boss@example.org")
    update_instance(instance, mtu=1300, by=boss.principal)
    apply_instance(str(instance.pk))
    remove_member(boss, by=BY)
    assert "Asked by boss@example.org" in activity(admin_browser, instance)


def test_all_who_asked_for_what_it_carries_are_named_and_nobody_else(
    organization: Organization, admin: Membership, instance: Instance, admin_browser: Client
) -> None:
    anna, ben = (make_member(organization, Role.ADMIN, email=f"{name}@example.org") for name in ("anna", "ben"))
    update_instance(instance, mtu=1300, by=anna.principal)
    update_instance(instance, mtu=1310, by=ben.principal)
    update_instance(instance, mtu=1320, by=anna.principal)
    assert sorted(asked_by(instance)) == ["anna@example.org", "ben@example.org"]
    update_instance(instance, mtu=1330, by=admin.principal)
    assert asked_by(instance) == [admin.user.email]
    peer = create_client_peer(instance, member=anna, by=anna.principal)
    apply_instance(str(instance.pk))
    Peer.objects.filter(pk=peer.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    update_instance(instance, mtu=1340, by=ben.principal)
    expire_peers(by=PORTAL)
    apply_instance(str(instance.pk))
    assert "Asked by ben@example.org; by the portal: a peer's time is over" in activity(admin_browser, instance)


def test_who_tries_again_is_named_too(organization: Organization, behind: Instance, server: Server) -> None:
    server.answer = refuse(AgentError(errors.DISK_FULL, "The disk is full."))
    assert asked_by(behind) == [str(BY)]
    behind.refresh_from_db()
    again = make_member(organization, Role.ADMIN, email="again@example.org")
    server.answer = lambda report: report
    retry_instance(behind, by=again.principal)
    assert asked_by(behind) == [str(BY), "again@example.org"]


def test_provisioning_names_who_created(organization: Organization, admin: Membership) -> None:
    region = make_region()
    made = create_instance(organization, name="Oslo", hostname="oslo", region=region, by=admin.principal)
    assert [one["name"] for one in made.operations.get().asked_by] == [admin.user.email]


def test_the_rest_of_a_change_whose_revocation_went_ahead_names_who_asked(
    organization: Organization, instance: Instance
) -> None:
    anna = make_member(organization, Role.ADMIN, email="anna@example.org")
    lost = create_client_peer(instance, member=anna, device="lost", by=BY)
    apply_instance(str(instance.pk))
    update_instance(instance, mtu=1300, by=anna.principal)
    delete_peer(lost, by=anna.principal)
    Operation.objects.all().delete()
    apply_urgently(str(instance.pk))
    assert asked_by(instance) == ["anna@example.org"]


def test_the_portal_gives_its_reason(organization: Organization, admin_browser: Client) -> None:
    hub = settle(make_instance(organization))
    apply_instance(str(hub.pk))
    renew_certificates()
    assert asked_by(hub) == ["the portal: renewing certificates"]
    assert "By the portal: renewing certificates" in activity(admin_browser, hub)


def test_staff_are_the_operator_whose_address_tenants_do_not_learn(
    api: Caller, instance: Instance, admin_browser: Client
) -> None:
    operator = Principal.command("root@backstage")
    update_instance(instance, mtu=1300, by=operator)
    apply_instance(str(instance.pk))
    shown = activity(admin_browser, instance)
    answered = api.get(f"/instances/{instance.pk}/operations").content.decode()
    assert "Asked by the operator" in shown
    assert "backstage" not in shown + answered


def test_an_operation_of_an_earlier_version_says_nothing(
    instance: Instance, admin_browser: Client, api: Caller
) -> None:
    update_instance(instance, mtu=1300, by=BY)
    apply_instance(str(instance.pk))
    Operation.objects.update(asked_by=[])
    shown = activity(admin_browser, instance).lower()
    assert "asked by" not in shown
    assert "by the portal" not in shown
    assert told(api.get(f"/instances/{instance.pk}/operations"), 200)[0]["asked_by"] == []
