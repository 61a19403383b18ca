"""Members add, rename, remove and report their own devices: where admins allow it, and up to a number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.member import change_member
from portal.actions.organization import set_device_limit
from portal.actions.queued_mail import send_queued
from portal.exceptions import InvalidInput, NotPossible, QuotaReached
from portal.models import JournalEntry, Membership, Principal, QueuedMail
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site_peer,
    observe_peers,
    settle,
)
from tests.vpn.confirming_server import Server
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import take_own_key
from vpn.actions.peers.lost import report_lost
from vpn.actions.peers.own import add_own_device
from vpn.actions.peers.peer import update_peer
from vpn.actions.profiles.profile import deliver_profile, issue_link
from vpn.actions.servers.loss import find_again
from vpn.choices import InstanceState, KeyCustody
from vpn.jobs.apply import apply_instance
from vpn.keys import generate_private_key, public_key
from vpn.models import Connection, Instance, Peer, PeerTombstone, ProfileLink, Site
from vpn.models.observation import connection_id

FORM = {"device": "phone", "protocol": "wireguard", "route_all": "false"}


@pytest.fixture
def opened(instance: Instance) -> Instance:
    """An instance on which members may add devices."""
    return update_instance(instance, members_add_devices=True, by=BY)


def test_by_default_no_instance_lets_members_add_devices(member_browser: Client, instance: Instance) -> None:
    assert "Add device" not in member_browser.get("/my/").content.decode()
    assert member_browser.get("/my/devices/new/").status_code == 404
    assert member_browser.post("/my/devices/new/", FORM | {"instance": str(instance.pk)}).status_code == 404
    assert not Peer.objects.exists()


def test_an_admin_allows_it_and_the_hub_has_nothing_to_apply(admin_browser: Client, instance: Instance) -> None:
    former = instance.desired_generation
    page = f"/instances/{instance.pk}/settings/"
    answer = admin_browser.post(page, {"name": instance.name, "mtu": instance.mtu, "members_add_devices": "on"})
    assert answer.status_code == 302
    fresh = Instance.objects.get()
    assert fresh.members_add_devices
    assert fresh.desired_generation == former
    assert JournalEntry.objects.get(code="instance.settings_changed").changes == {"members_add_devices": [False, True]}


def test_a_member_adds_a_device_and_makes_its_key_next(
    member_browser: Client, member: Membership, opened: Instance
) -> None:
    assert "Add device" in member_browser.get("/my/").content.decode()
    answer = member_browser.post("/my/devices/new/", FORM)
    peer = Peer.objects.get()
    assert answer.headers["Location"] == f"/peers/{peer.pk}/key/"
    assert (peer.member_id, peer.device, peer.route_all) == (member.pk, "phone", False)
    line = JournalEntry.objects.get(code="peer.created")
    assert line.actor_name == member.user.email


def test_over_openvpn_the_profile_is_next(member_browser: Client, opened: Instance) -> None:
    answer = member_browser.post("/my/devices/new/", FORM | {"protocol": "openvpn"})
    assert answer.headers["Location"] == f"/peers/{Peer.objects.get().pk}/"


def test_of_several_hubs_one_is_chosen_and_others_are_not_there(
    member_browser: Client, member: Membership, opened: Instance
) -> None:
    second = make_instance(member.organization, name="Singapore")
    closed = make_instance(member.organization, name="Closed")
    theirs = make_instance(make_organization("Other"), name="Theirs")
    Instance.objects.exclude(pk=closed.pk).update(members_add_devices=True)
    page = member_browser.get("/my/devices/new/").content.decode()
    assert "Singapore" in page
    assert "Closed" not in page
    assert "Theirs" not in page
    for wrong in ("", str(closed.pk), str(theirs.pk)):
        assert member_browser.post("/my/devices/new/", FORM | {"instance": wrong}).status_code == 200
    assert not Peer.objects.exists()
    member_browser.post("/my/devices/new/", FORM | {"instance": str(second.pk)})
    assert Peer.objects.get().instance_id == second.pk


def test_a_device_has_a_name(member_browser: Client, member: Membership, opened: Instance) -> None:
    assert "Name the device" in member_browser.post("/my/devices/new/", FORM | {"device": " "}).content.decode()
    with pytest.raises(InvalidInput):
        add_own_device(opened, by=member.principal, member=member, device=" ")


def test_the_number_ends_it_and_admins_may_add_more(
    member_browser: Client, member: Membership, opened: Instance
) -> None:
    set_device_limit(member.organization, 1, by=BY)
    member_browser.post("/my/devices/new/", FORM)
    page = member_browser.post("/my/devices/new/", FORM | {"device": "tablet"}).content.decode()
    assert "You have 1 device, and members may have 1." in page
    assert Peer.objects.count() == 1
    assert "/my/devices/new/" not in member_browser.get("/my/").content.decode()
    make_client_peer(opened, member, "tablet")
    assert Peer.objects.count() == 2


def test_a_person_may_have_another_number(member: Membership, opened: Instance) -> None:
    set_device_limit(member.organization, 0, by=BY)
    fresh = Membership.objects.get(pk=member.pk)
    with pytest.raises(QuotaReached) as refused:
        add_own_device(opened, by=BY, member=fresh, device="phone")
    assert refused.value.code == "device-limit"
    change_member(member, most_devices=1, by=BY)
    add_own_device(opened, by=BY, member=fresh, device="phone")
    change_member(member, most_devices=None, by=BY)
    with pytest.raises(QuotaReached):
        add_own_device(opened, by=BY, member=fresh, device="tablet")
    lines = JournalEntry.objects.filter(code="member.changed").order_by("at")
    assert [line.changes for line in lines] == [{"most_devices": [None, 1]}, {"most_devices": [1, None]}]


def test_an_instance_that_was_closed_meanwhile_refuses(member: Membership, opened: Instance) -> None:
    Instance.objects.update(members_add_devices=False)
    with pytest.raises(NotPossible):
        add_own_device(opened, by=BY, member=member, device="phone")


@pytest.mark.parametrize("devices", ["-1", "101"])
def test_a_number_outside_of_its_range_is_refused(admin_browser: Client, member: Membership, devices: str) -> None:
    name = member.organization.name
    assert admin_browser.post("/settings/", {"name": name, "devices_per_member": devices}).status_code == 200
    with pytest.raises(InvalidInput):
        set_device_limit(member.organization, int(devices), by=BY)
    with pytest.raises(InvalidInput):
        change_member(member, most_devices=int(devices), by=BY)


def test_an_admin_sets_both_numbers_on_their_pages(admin_browser: Client, member: Membership) -> None:
    name = member.organization.name
    assert admin_browser.post("/settings/", {"name": name, "devices_per_member": "3"}).status_code == 302
    form = {"name": "Anna", "role": "member", "active": "true", "most_devices": "7"}
    assert admin_browser.post(f"/people/{member.pk}/", form).status_code == 302
    member = Membership.objects.select_related("organization").get(pk=member.pk)
    assert (member.organization.devices_per_member, member.most_devices) == (3, 7)


def test_the_owner_renames_and_removes_a_device(member_browser: Client, client_peer: Peer) -> None:
    page = f"/peers/{client_peer.pk}/"
    shown = member_browser.get(page).content.decode()
    assert "Rename" in shown
    assert "Remove device" in shown
    assert member_browser.post(f"{page}rename/", {"device": "new laptop"}).status_code == 302
    assert Peer.objects.get().device == "new laptop"
    assert "Remove device" in member_browser.get(f"{page}delete/").content.decode()
    assert member_browser.post(f"{page}delete/").headers["Location"] == "/my/"
    assert not Peer.objects.exists()
    assert PeerTombstone.objects.exists()


def test_a_name_that_another_device_has_is_refused(member_browser: Client, client_peer: Peer) -> None:
    assert client_peer.member is not None
    make_client_peer(client_peer.instance, client_peer.member, "phone")
    answer = member_browser.post(f"/peers/{client_peer.pk}/rename/", {"device": "Phone"})
    assert "already" in answer.content.decode()


def test_nobody_elses_device_is_there(member_browser: Client, instance: Instance, member: Membership) -> None:
    theirs = make_client_peer(instance, make_member(member.organization), "tablet")
    for act in ("rename", "lost", "delete"):
        assert member_browser.post(f"/peers/{theirs.pk}/{act}/", {"device": "mine"}).status_code == 404
    assert Peer.objects.get().device == "tablet"


def test_a_router_is_neither_renamed_nor_lost(admin_browser: Client, instance: Instance, site: Site) -> None:
    router = make_site_peer(instance, site)
    assert admin_browser.post(f"/peers/{router.pk}/rename/", {"device": "x"}).status_code == 404
    assert admin_browser.post(f"/peers/{router.pk}/lost/").status_code == 404
    with pytest.raises(NotPossible):
        report_lost(router, by=BY)


def test_a_lost_device_is_shut_out_for_good_and_the_admins_are_told(
    member_browser: Client,
    client_peer: Peer,
    admin: Membership,
    mailoutbox: list,  # type: ignore[type-arg]
) -> None:
    settle(client_peer.instance)
    take_own_key(client_peer, public_key(generate_private_key()), by=BY)
    settle(client_peer.instance)
    lost_key = Peer.objects.get().public_key
    assert member_browser.post(f"/peers/{client_peer.pk}/lost/").status_code == 302
    peer = Peer.objects.select_related("instance", "member__user", "site").get()
    assert not peer.enabled
    assert not peer.is_admitted
    assert peer.public_key != lost_key
    assert peer.key_custody == KeyCustody.PORTAL
    assert "Reported as lost" in member_browser.get("/my/").content.decode()
    line = JournalEntry.objects.get(code="peer.reported_lost")
    assert line.actor_name == client_peer.member.user.email  # type: ignore[union-attr]
    mail = QueuedMail.objects.get()
    assert mail.address == admin.user.email
    send_queued(mail.pk, by=BY)
    assert mailoutbox[0].to == [admin.user.email]
    assert f"/peers/{peer.pk}/" in mailoutbox[0].body
    assert "Lost device:" in mailoutbox[0].subject
    sent = JournalEntry.objects.get(code="queuedmail.sent")
    assert sent.organization_id == admin.organization_id
    # Enabled again, it needs a new profile: the lost one's key is gone.
    update_peer(peer, enabled=True, by=BY)
    peer = Peer.objects.get()
    assert peer.lost_at is None
    assert peer.public_key != lost_key


def test_it_works_while_the_hub_is_lost_and_the_hub_follows(
    member_browser: Client,
    client_peer: Peer,
    admin: Membership,
    server: Server,
    mailoutbox: list,  # type: ignore[type-arg]
) -> None:
    hub = settle(client_peer.instance)
    former_key = client_peer.public_key
    Instance.objects.filter(pk=hub.pk).update(state=InstanceState.LOST)
    url = f"/peers/{client_peer.pk}/"
    follows = "the hub follows when it is back, or on another server"
    assert follows in member_browser.get(f"{url}lost/").content.decode()
    assert member_browser.post(f"{url}lost/").status_code == 302
    peer = Peer.objects.select_related("instance", "member__user").get()
    assert not peer.enabled
    assert peer.public_key != former_key
    assert JournalEntry.objects.filter(code="peer.reported_lost").count() == 1
    for path in (url, "/my/"):
        page = member_browser.get(path).content.decode()
        assert "This waits for the hub" in page
        assert follows in page
    send_queued(QueuedMail.objects.get().pk, by=BY)
    assert "has not confirmed yet that it does not let it in" in mailoutbox[0].body
    # Another change is refused, as before.
    with pytest.raises(NotPossible):
        update_peer(peer, enabled=True, by=BY)
    machine = hub.server
    assert machine is not None
    find_again(machine, by=BY)
    apply_instance(str(hub.pk))
    peer = Peer.objects.select_related("instance").get()
    assert (peer.applied_digest, peer.hub_may_admit) == ("", False)
    assert "This waits for the hub" not in member_browser.get(url).content.decode()


def test_a_name_with_a_comma_stays_whole(client_peer: Peer, admin: Membership, mailoutbox: list) -> None:  # type: ignore[type-arg]
    settle(client_peer.instance)
    report_lost(client_peer, by=Principal.portal("Doe, Jane"))
    send_queued(QueuedMail.objects.get().pk, by=BY)
    assert f"Doe, Jane reported {client_peer.label} as lost." in mailoutbox[0].body
    assert mailoutbox[0].subject == f"Lost device: {client_peer.label}"


def test_a_second_report_tells_nobody_again(member_browser: Client, client_peer: Peer, admin: Membership) -> None:
    settle(client_peer.instance)
    for _ in range(3):
        assert member_browser.post(f"/peers/{client_peer.pk}/lost/").status_code == 302
    assert QueuedMail.objects.count() == 1
    # Found and lost again, it is news.
    update_peer(Peer.objects.get(), enabled=True, by=BY)
    report_lost(Peer.objects.get(), by=BY)
    assert QueuedMail.objects.count() == 2


def test_a_report_ends_share_links(client_peer: Peer) -> None:
    settle(client_peer.instance)
    deliver_profile(Peer.objects.get(), by=BY)
    issue_link(Peer.objects.get(), by=BY)
    report_lost(client_peer, by=BY)
    assert not ProfileLink.objects.exists()


@pytest.mark.parametrize(
    ("mine", "routers", "is_there"),
    [
        ("203.0.113.9:4711", "203.0.113.9:51820", True),
        ("203.0.113.9:4711", "203.0.113.90:51820", False),
        ("[2001:db8:0:1::7]:4711", "[2001:db8:0:1::1]:51820", True),
        ("[2001:db8:0:1::7]:4711", "[2001:db8:0:2::1]:51820", False),
    ],
)
def test_a_device_behind_its_sites_router_is_in_the_office(
    member_browser: Client, client_peer: Peer, site: Site, mine: str, routers: str, is_there: bool
) -> None:
    router = make_site_peer(client_peer.instance, site)
    settle(client_peer.instance)
    Peer.objects.update(applied_digest="x")
    observe_peers(client_peer, last_handshake=timezone.now(), endpoint=mine)
    observe_peers(router, last_handshake=timezone.now(), endpoint=routers)
    page = member_browser.get("/my/").content.decode()
    assert (f"In the office: it connects from the address of {site.name}." in page) == is_there
    observe_peers(router, last_handshake=timezone.now() - timedelta(hours=1), endpoint=routers)
    assert "In the office" not in member_browser.get("/my/").content.decode()


def test_what_is_routed_is_said_in_plain_words(member_browser: Client, client_peer: Peer) -> None:
    assert "Only the devices of this VPN go through the VPN" in member_browser.get("/my/").content.decode()
    Peer.objects.update(route_all=True)
    assert "All traffic of this device goes through the VPN" in member_browser.get("/my/").content.decode()


def test_own_connections_are_shown_and_no_others(
    member_browser: Client, client_peer: Peer, connect_once: Callable[[Peer, str], None]
) -> None:
    assert "No connection yet" in member_browser.get("/my/connections/").content.decode()
    member = client_peer.member
    assert member is not None
    connect_once(client_peer, "192.0.2.7:1")
    connect_once(make_client_peer(client_peer.instance, make_member(member.organization), "tablet"), "192.0.2.8:1")
    page = member_browser.get("/my/connections/").content.decode()
    assert "192.0.2.7:1" in page
    assert "192.0.2.8:1" not in page


@pytest.fixture
def connect_once() -> Callable[[Peer, str], None]:
    """Writes one ended connection of a peer from an endpoint."""

    def write(peer: Peer, endpoint: str) -> None:
        began = timezone.now() - timedelta(hours=2)
        Connection.objects.create(
            id=connection_id(peer.pk, began),
            organization_id=peer.instance.organization_id,
            instance_id=peer.instance_id,
            instance_name=peer.instance.name,
            peer_id=peer.pk,
            peer_name=peer.label,
            person_id=peer.member_id,
            protocol=peer.protocol,
            address_v4="100.64.0.2",
            address_v6="fd00::2",
            began_at=began,
            ended_at=began + timedelta(hours=1),
            endpoint=endpoint,
            last_endpoint=endpoint,
            received_from=0,
            sent_from=0,
        )

    return write
