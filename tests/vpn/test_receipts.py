"""The receipt of what ended with a person's access: what it says at once, and as hubs confirm or stay away."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from portal.actions.member import change_member, remove_member
from portal.models import ApiToken, BrowserSession, JournalEntry, Membership, Organization, Receipt, Role
from tests.factories import (
    BY,
    make_client_peer,
    make_member,
    make_site,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
)
from tests.fixtures import signed_in
from tests.vpn.api.caller import Caller
from tests.vpn.confirming_server import Server
from vpn.actions.profiles.custody import destroy_due_keys
from vpn.actions.servers.condition import note_answer
from vpn.choices import InstanceState, KeyCustody, ServerState
from vpn.desired import compile_digest
from vpn.jobs.apply import apply_urgently
from vpn.jobs.reconcile import reconcile_all
from vpn.models import EndedTunnel, Instance, Peer, ProfileLink, Tick
from vpn.models import Server as ServerRow
from vpn.presenters.receipts import tunnel_ends

pytestmark = pytest.mark.both_databases


@pytest.fixture
def api(admin: Membership) -> Caller:
    """Calls by the admin's program."""
    return Caller(ApiToken.issue(admin)[1])


@pytest.fixture
def hub(instance: Instance, member: Membership) -> Instance:
    """A hub that has the member's connected device."""
    peer = make_client_peer(instance, member)
    settle(instance)
    observe_peers(peer, last_handshake=timezone.now(), connected_from=timezone.now())
    return instance


def browser_of(member: Membership) -> Client:
    """The browser of somebody who has opened a page in it."""
    browser = signed_in(member.user)
    cache.clear()
    assert browser.get("/my/").status_code == 200
    return browser


def receipt_of(person_id: UUID) -> Receipt:
    """The only receipt about a person."""
    return Receipt.objects.get(person_id=person_id)


def states(receipt: Receipt) -> list[str]:
    """The states of its tunnels."""
    return [end.state for end in tunnel_ends(receipt)]


def test_deactivating_says_what_ended(hub: Instance, member: Membership, admin_browser: Client, server: Server) -> None:
    theirs = browser_of(member)
    ApiToken.issue(member, name="backup script")
    ProfileLink.objects.create(
        peer=hub.peers.get(), digest="1" * 64, expires_at=timezone.now() + timedelta(hours=1), made_by=member
    )
    hub.peers.update(key_due_at=timezone.now() + timedelta(hours=1))
    left = admin_browser.post(f"/people/{member.pk}/", {"name": "", "role": "member", "active": "false"})
    receipt = receipt_of(member.pk)
    assert left["Location"] == f"/people/receipts/{receipt.pk}/"
    assert (receipt.sessions, receipt.tokens) == (1, ["backup script"])
    assert receipt.links == receipt.windows == [f"{member.label} / laptop"]
    assert theirs.get("/my/").status_code == 302, "signed out"
    assert not BrowserSession.objects.filter(user=member.user).exists()
    assert not ProfileLink.objects.exists()
    page = admin_browser.get(left["Location"]).content.decode()
    for words in ("backup script", "1 browser was signed out", "was connected", "Still ending", "every 1s"):
        assert words in page
    destroy_due_keys(1.0, by=BY)
    assert hub.peers.get().key_custody == KeyCustody.DESTROYED


def test_it_is_complete_once_the_hub_confirmed(
    hub: Instance, member: Membership, admin_browser: Client, server: Server
) -> None:
    change_member(member, active=False, by=BY)
    receipt = receipt_of(member.pk)
    assert states(receipt) == ["waiting"]
    apply_urgently(str(hub.pk))
    tunnel = receipt.tunnels.get()
    assert tunnel.confirmed_at is not None
    assert tunnel.confirmed_by == "This machine"
    page = admin_browser.get(f"/people/receipts/{receipt.pk}/").content.decode()
    assert f"Confirmed by {hub.name} on This machine at {timezone.localtime(tunnel.confirmed_at):%H:%M:%S}." in page
    assert "every 1s" not in page
    fragment = admin_browser.get(
        f"/people/receipts/{receipt.pk}/", headers={"HX-Request": "true", "HX-Target": "receipt"}
    )
    assert b"<html" not in fragment.content


def test_an_earlier_confirmation_does_not_count(hub: Instance, member: Membership, server: Server) -> None:
    change_member(member, active=False, by=BY)
    EndedTunnel.objects.update(generation=1_000)
    apply_urgently(str(hub.pk))
    assert states(receipt_of(member.pk)) == ["waiting"]


def test_removing_leaves_a_receipt_that_stays_readable(
    hub: Instance, member: Membership, admin_browser: Client, server: Server
) -> None:
    pk, label = member.pk, member.label
    admin_browser.post(f"/people/{pk}/remove/")
    apply_urgently(str(hub.pk))
    receipt = receipt_of(pk)
    assert states(receipt) == ["confirmed"]
    page = admin_browser.get(f"/people/receipts/{receipt.pk}/").content.decode()
    assert label in page
    line = JournalEntry.objects.get(pk=receipt.pk)
    assert line.code == "member.deleted"
    assert f"/people/receipts/{receipt.pk}/" in admin_browser.get("/activity/").content.decode()


def test_the_persons_page_leads_to_it(member: Membership, admin_browser: Client) -> None:
    change_member(member, active=False, by=BY)
    page = admin_browser.get(f"/people/{member.pk}/").content.decode()
    assert f"/people/receipts/{receipt_of(member.pk).pk}/" in page


def test_a_server_that_does_not_answer_is_said_with_its_lease(hub: Instance, member: Membership) -> None:
    assert hub.server_id is not None
    silent = timezone.now() - timedelta(minutes=1)
    rows = ServerRow.objects.filter(pk=hub.server_id)
    rows.update(state=ServerState.UNREACHABLE, silent_since=silent)
    change_member(member, active=False, by=BY)
    receipt = receipt_of(member.pk)
    [end] = tunnel_ends(receipt)
    assert end.state == "unreachable"
    assert "has no lease" in end.message
    assert "switched off" in end.next_step
    observe_hubs(hub, leased_on=hub.server_id)
    rows.update(lease_ends_at=timezone.now() + timedelta(minutes=2))
    [end] = tunnel_ends(receipt)
    assert end.state == "unreachable"
    assert f"does not answer since {timezone.localtime(silent):%H:%M:%S}" in end.message
    assert "the hub itself ends the tunnel then" in end.message
    rows.update(lease_ends_at=timezone.now() - timedelta(seconds=1))
    [end] = tunnel_ends(receipt)
    assert (end.state, end.is_over) == ("ended", True)


@pytest.mark.parametrize("act", ["deactivate", "remove"])
def test_a_hub_that_was_lost_meanwhile_is_compared_when_it_is_back(
    act: str, hub: Instance, member: Membership, server: Server
) -> None:
    """No generation rises while an instance is lost."""
    pk, machine = member.pk, hub.server
    assert machine is not None
    ServerRow.objects.filter(pk=machine.pk).update(state=ServerState.LOST)
    Instance.objects.filter(pk=hub.pk).update(state=InstanceState.LOST)
    observe_hubs(hub, verify_at=timezone.now() + timedelta(hours=1))
    if act == "deactivate":
        change_member(member, active=False, by=BY)
    else:
        remove_member(member, by=BY)
    note_answer(ServerRow.objects.get(pk=machine.pk), by=BY)
    hub.refresh_from_db()
    assert hub.state == InstanceState.READY
    Tick.objects.all().delete()
    reconcile_all()
    apply_urgently(str(hub.pk))
    assert states(receipt_of(pk)) == ["confirmed"]


def test_a_hub_that_never_had_the_device_confirms_as_well_when_it_is_back(
    hub: Instance, member: Membership, server: Server
) -> None:
    """Its specification is the same as before, so comparing alone asks for no confirmation."""
    machine = hub.server
    assert machine is not None
    Peer.objects.filter(member=member).update(enabled=False)
    settle(hub)
    Instance.objects.filter(pk=hub.pk).update(applied_digest=compile_digest(hub.pk)[1])
    Peer.objects.filter(member=member).update(enabled=True, applied_digest="")
    ServerRow.objects.filter(pk=machine.pk).update(state=ServerState.LOST)
    Instance.objects.filter(pk=hub.pk).update(state=InstanceState.LOST)
    change_member(member, active=False, by=BY)
    assert states(receipt_of(member.pk)) == ["unreachable"]
    note_answer(ServerRow.objects.get(pk=machine.pk), by=BY)
    Tick.objects.all().delete()
    reconcile_all()
    apply_urgently(str(hub.pk))
    assert states(receipt_of(member.pk)) == ["confirmed"]


def test_an_account_that_is_used_elsewhere_stays_signed_in_there(
    member: Membership, other_organization: Organization
) -> None:
    Membership.objects.create(organization=other_organization, user=member.user, state="active")
    theirs = browser_of(member)
    change_member(member, active=False, by=BY)
    assert receipt_of(member.pk).sessions is None
    assert BrowserSession.objects.filter(user=member.user).exists()
    assert theirs.get("/my/").status_code == 200


def test_a_role_with_fewer_rights_ends_tokens_and_links_to_others_devices(
    instance: Instance, organization: Organization, member: Membership
) -> None:
    second = make_member(organization, Role.ADMIN)
    own, others = make_client_peer(instance, second), make_client_peer(instance, member)
    router = make_site_peer(instance, make_site(organization))
    until = timezone.now() + timedelta(hours=1)
    for number, peer in enumerate((own, others, router)):
        ProfileLink.objects.create(peer=peer, digest=f"{number}" * 64, expires_at=until, made_by=second)
    ApiToken.issue(second, name="terraform")
    settle(instance)
    generation = instance.desired_generation
    change_member(second, role=Role.MEMBER, by=BY)
    receipt = receipt_of(second.pk)
    assert (receipt.former_role, receipt.role, receipt.tokens) == ("admin", "member", ["terraform"])
    assert sorted(receipt.links) == sorted([others.label, router.label])
    assert [link.peer for link in ProfileLink.objects.all()] == [own]
    assert not receipt.tunnels.exists(), "their own device stays"
    assert Peer.objects.admitted().filter(pk=own.pk).exists()
    assert generation <= Instance.objects.get(pk=instance.pk).desired_generation


@pytest.mark.parametrize(("former", "role"), [("member", "auditor"), ("auditor", "admin"), ("operator", "admin")])
def test_a_role_with_more_rights_ends_nothing(former: str, role: str, organization: Organization) -> None:
    person = make_member(organization, former, instance_ids=[] if former == "operator" else None)
    ApiToken.issue(person)
    change_member(person, role=role, by=BY)
    assert not Receipt.objects.exists()
    assert ApiToken.objects.exists()


def test_activating_again_ends_nothing(member: Membership) -> None:
    change_member(member, active=False, by=BY)
    change_member(member, active=True, by=BY)
    assert Receipt.objects.count() == 1


def test_who_ends_their_own_access_signs_in_again(organization: Organization) -> None:
    second = make_member(organization, Role.ADMIN)
    browser = signed_in(second.user)
    left = browser.post(f"/people/{second.pk}/", {"name": "", "role": "admin", "active": "false"})
    assert left["Location"] == "/accounts/login/"
    assert browser.get("/people/").status_code == 302


def test_programs_read_it(hub: Instance, member: Membership, api: Caller, server: Server) -> None:
    api.call("PUT", f"/users/{member.pk}", {"active": False})
    apply_urgently(str(hub.pk))
    [found] = json.loads(api.call("GET", f"/receipts?user={member.pk}").content)
    assert found["complete"] is True
    assert found["cause"] == "deactivated"
    [tunnel] = found["tunnels"]
    assert (tunnel["state"], tunnel["connected"], tunnel["confirmed_by"]) == ("confirmed", True, "This machine")
    assert json.loads(api.call("GET", f"/receipts/{found['id']}").content) == found


def test_a_list_takes_a_constant_number_of_queries(
    instance: Instance, organization: Organization, api: Caller, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        person = make_member(organization)
        make_client_peer(instance, person)
        remove_member(person, by=BY)
    with django_assert_max_num_queries(9):
        assert len(json.loads(api.call("GET", "/receipts").content)) == 5
