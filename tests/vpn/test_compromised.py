"""A compromised server: its hubs get new keys and another server, and what it knew is not valid any more."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.template.defaultfilters import date
from django.test import Client
from django.utils import timezone, translation

from portal.exceptions import InvalidInput, NotPossible
from portal.models import JournalEntry, Membership, Organization
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_site,
    make_site_peer,
    make_user,
    observe_hubs,
    settle,
)
from tests.vpn.api.caller import Caller
from tests.vpn.moves.machines import Machine
from tests.vpn.moves.moving import Servers, go_on, look
from tests.vpn.ssh_servers import make_server, server_access
from vpn import pki
from vpn.actions.instances.instance import delete_instance
from vpn.actions.instances.move import rebuild_instance
from vpn.actions.instances.retirement import end_forwarding
from vpn.actions.peers.keys import take_own_key
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.actions.servers.compromise import report_compromised
from vpn.actions.servers.preparation import begin_preparation
from vpn.actions.servers.region import add_region
from vpn.actions.servers.server import confirm_host_key, forget_server, note_host_key
from vpn.choices import InstanceState, ProfileState, Protocol, ServerState
from vpn.desired import compile_spec
from vpn.drivers.base import Unreachable
from vpn.jobs.availability import ring_for_servers
from vpn.jobs.compromise import go_on_renewing
from vpn.jobs.knock import give_probe
from vpn.jobs.provision import destroy_instance
from vpn.jobs.servers import driver_for
from vpn.keys import generate_private_key, generate_ssh_key, public_key
from vpn.models import CompromisedHub, FormerHub, Instance, Move, Peer, Region, RetiredHub, Server
from vpn.presenters.compromise import hub_lines
from vpn.profiles.state import profile_state

pytestmark = pytest.mark.django_db


@pytest.fixture
def region() -> Region:
    """A region."""
    return add_region("fra", "Frankfurt", by=BY)


@pytest.fixture
def bad(region: Region) -> Server:
    """The server that is compromised."""
    return make_server(region, "fra1")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, bad: Server) -> Servers:
    """The machines of the servers."""
    made = Servers()
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda address: made.machines[address.id])
    made.rows["fra1"], made.machines[bad.pk] = bad, Machine("fra1")
    return made


@pytest.fixture
def good(region: Region, servers: Servers) -> Server:
    """Another server of the region."""
    row = make_server(region, "fra2", number=8)
    servers.rows["fra2"], servers.machines[row.pk] = row, Machine("fra2")
    return row


@pytest.fixture
def hub(organization: Organization, bad: Server, servers: Servers) -> Instance:
    """An instance that runs there."""
    made = make_instance(organization)
    made.server, made.region = bad, bad.region
    give_probe(made)
    made.save()
    observe_hubs(made, observed_at=timezone.now(), leased_on=bad.pk)
    servers["fra1"].hubs[made.hub] = {"epoch": made.epoch, "generation": made.desired_generation}
    return made


@pytest.fixture
def peers(hub: Instance, member: Membership, organization: Organization) -> dict[str, Peer]:
    """A device with keys of the portal, one with its own key, one over OpenVPN, and a site; all have their profiles."""
    made = {name: make_client_peer(hub, member, name) for name in ("laptop", "own")}
    own_key = public_key(generate_private_key())
    made["own"] = take_own_key(made["own"], own_key, by=BY)
    made["phone"] = create_client_peer(hub, member=member, device="phone", protocol=Protocol.OPENVPN, by=BY)
    made["site"] = make_site_peer(hub, make_site(organization))
    settle(hub)
    for peer in made.values():
        deliver_profile(Peer.objects.get(pk=peer.pk), by=BY)
    return {name: Peer.objects.get(pk=peer.pk) for name, peer in made.items()}


def work() -> None:
    """The job of every hub, as the schedule rings for it."""
    for pk in list(CompromisedHub.objects.filter(finished_at=None).values_list("pk", flat=True)):
        CompromisedHub.objects.filter(pk=pk).update(due_at=timezone.now() - timedelta(seconds=1))
        go_on_renewing(str(pk))


def secrets_of(hub: Instance) -> set[str]:
    """All that a server has of a hub and may not get about."""
    fresh = Instance.objects.get(pk=hub.pk)
    found = {fresh.private_key, fresh.public_key, fresh.probe_private_key, fresh.probe_preshared_key}
    if fresh.has_certificates:
        found |= {fresh.authority_key, fresh.server_key, fresh.tls_crypt_key, fresh.authority_certificate}
    for peer in fresh.peers.all():
        found |= {peer.preshared_key, peer.tls_crypt_key, peer.certificate}
    return found - {""}


def report(server: Server) -> None:
    report_compromised(server, server.name, by=BY)


def test_its_hubs_get_new_keys_and_another_server(
    hub: Instance, peers: dict[str, Peer], bad: Server, good: Server, servers: Servers
) -> None:
    former = secrets_of(hub)
    report(bad)
    hub.refresh_from_db()
    assert hub.state == InstanceState.LOST
    work()
    assert not former & secrets_of(hub)
    assert go_on(hub).state == "succeeded"
    work()
    assert (hub.server, hub.state) == (good, InstanceState.READY)
    assert CompromisedHub.objects.get().finished_at is not None
    sent = servers["fra2"].hubs[hub.hub]
    assert sent["wireguard"]["private_key"] == Instance.objects.get().private_key
    assert not any(secret in str(sent) for secret in former)


def test_it_gets_no_work_and_is_not_trusted_again(
    hub: Instance, bad: Server, good: Server, region: Region, servers: Servers
) -> None:
    report(bad)
    bad.refresh_from_db()
    access = server_access(bad)
    assert (access.host_key, access.private_key_sealed, access.public_key) == ("", "", "")
    with pytest.raises(Unreachable):
        driver_for(bad)
    before = dict(servers["fra1"].hubs)
    work()
    go_on(hub)
    ring_for_servers()
    assert servers["fra1"].hubs == before
    assert not servers["fra1"].tombstones
    assert not RetiredHub.objects.filter(server=bad).exists()
    assert Instance.objects.get().earlier_addresses == []
    note_host_key(bad, generate_ssh_key()[1], by=BY)
    with pytest.raises(NotPossible, match="compromised"):
        confirm_host_key(bad, server_access(bad).seen_fingerprint, by=BY)
    with pytest.raises(NotPossible, match="compromised"):
        report(bad)
    with pytest.raises(NotPossible):
        begin_preparation(bad, by=BY)
    work()
    forget_server(bad, by=BY)
    assert not Server.objects.filter(pk=bad.pk).exists()


def test_every_delivered_profile_is_outdated_with_the_reason(
    hub: Instance,
    peers: dict[str, Peer],
    member: Membership,
    admin: Membership,
    member_browser: Client,
    bad: Server,
    good: Server,
) -> None:
    report(bad)
    work()
    for name, peer in peers.items():
        fresh = Peer.objects.get(pk=peer.pk)
        assert profile_state(fresh) == ProfileState.OUTDATED, name
        assert (fresh.public_key == peer.public_key) == (name == "own")
    go_on(hub)
    work()
    api, path = Caller.of(admin), f"/instances/{hub.pk}/peers"
    for read in (json.loads(api.get(path).content)[0], json.loads(api.get(f"{path}/{peers['laptop'].pk}").content)):
        assert (read["profile_state"], read["outdated_reason"]) == ("outdated", "keys-replaced")
    shown = member_browser.get("/my/").content.decode()
    assert shown.count("because its server was compromised") == 3
    page = member_browser.get(f"/peers/{peers['laptop'].pk}/").content.decode()
    assert "because its server was compromised" in page
    laptop = Peer.objects.get(pk=peers["laptop"].pk)
    deliver_profile(laptop, by=BY)
    laptop.refresh_from_db()
    assert profile_state(laptop) == ProfileState.CURRENT
    assert member_browser.get("/my/").content.decode().count("because its server was compromised") == 2


def test_openvpn_has_another_authority(hub: Instance, peers: dict[str, Peer], bad: Server, good: Server) -> None:
    former = Instance.objects.get(pk=hub.pk)
    report(bad)
    work()
    fresh, phone = Instance.objects.get(pk=hub.pk), Peer.objects.get(pk=peers["phone"].pk)
    assert fresh.authority_certificate != former.authority_certificate
    pki.load(phone.certificate, phone.private_key)
    assert not phone.earlier_certificates.exists()
    assert not fresh.revoked_certificates.exists()
    document = compile_spec(hub.pk).document
    assert document["openvpn"]["ca"] == fresh.authority_certificate


def test_a_job_that_is_killed_after_any_batch_goes_on(
    hub: Instance, peers: dict[str, Peer], bad: Server, good: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpn.actions.instances.new_keys._BATCH", 1)
    monkeypatch.setattr("vpn.jobs.compromise._SLICE_SECONDS", -1.0)
    former = secrets_of(hub)
    report(bad)
    keys: list[str] = []
    for _ in range(8):
        work()
        keys.append(Instance.objects.get().public_key)
    assert len(set(keys)) == 1, "the hub's own keys were replaced once"
    assert not former & secrets_of(hub)
    assert Move.objects.get().target == good


def test_without_room_it_waits_and_says_so(
    hub: Instance, bad: Server, region: Region, servers: Servers, admin_browser: Client, staff_browser: Client
) -> None:
    report(bad)
    work()
    page = admin_browser.get(f"/instances/{hub.pk}/").content.decode()
    assert "server was compromised" in page
    assert "has no other server that is ready and has room" in page
    progress = staff_browser.get(f"/admin/vpn/server/{bad.pk}/compromised/").content.decode()
    assert "It has new keys and waits: Frankfurt has no other server that is ready and has room." in progress
    with translation.override("de"):
        lines = hub_lines(Server.objects.get(pk=bad.pk))
    assert "Frankfurt hat keinen anderen Server, der bereit ist und Platz hat." in lines[0].state
    row = make_server(region, "fra2", number=8)
    servers.machines[row.pk] = Machine("fra2")
    work()
    assert Move.objects.get().target == row


def test_a_move_that_was_under_way_begins_anew(hub: Instance, bad: Server, good: Server, servers: Servers) -> None:
    rebuild_instance(hub, by=BY, in_place=False)
    report(bad)
    work()
    look()
    work()
    assert hub.operations.filter(kind="rebuild").count() == 2
    assert go_on(hub).state == "succeeded"
    assert servers["fra2"].hubs[hub.hub]["wireguard"]["private_key"] == Instance.objects.get().private_key


def test_a_hub_that_it_forwards_for_gets_new_keys_where_it_runs(
    hub: Instance, bad: Server, good: Server, servers: Servers
) -> None:
    rebuild_instance(hub, by=BY, in_place=False)
    go_on(hub)
    hub.refresh_from_db()
    assert (hub.server, hub.earlier_addresses) == (good, [bad.address])
    former = hub.private_key
    report(bad)
    work()
    hub.refresh_from_db()
    assert hub.private_key != former
    assert hub.earlier_addresses == []
    assert (hub.server, hub.state, hub.is_up_to_date) == (good, InstanceState.READY, False)
    settle(hub)
    work()
    assert CompromisedHub.objects.get().finished_at is not None


def move_away(hub: Instance) -> None:
    """The hub runs on the other server, and its former one has confirmed that nothing is left there."""
    rebuild_instance(hub, by=BY, in_place=False)
    go_on(hub)
    end_forwarding(Instance.objects.get(pk=hub.pk), by=BY)
    look()
    assert not RetiredHub.objects.exists()


def test_a_hub_that_was_on_it_before_gets_new_keys_where_it_runs(
    hub: Instance, bad: Server, good: Server, staff_browser: Client
) -> None:
    move_away(hub)
    former = Instance.objects.get(pk=hub.pk)
    page = staff_browser.get(f"/admin/vpn/server/{bad.pk}/compromised/").content.decode()
    today = date(timezone.localtime(timezone.now()), "j F Y")
    assert f"It was on this server until {today}." in page
    assert "1 of these hubs was on this server before: it stays where it is." in page
    out = StringIO()
    call_command("server", "compromised", "fra1", "--plan", stdout=out)
    assert f"It was on this server until {today}" in out.getvalue()
    assert staff_browser.post(f"/admin/vpn/server/{bad.pk}/compromised/", {"name": "fra1"}).status_code == 302
    work()
    hub.refresh_from_db()
    assert hub.private_key != former.private_key
    assert (hub.server, hub.state) == (good, InstanceState.READY)
    settle(hub)
    work()
    assert CompromisedHub.objects.get().finished_at is not None
    assert not FormerHub.objects.exists(), "what it had opens nothing any more"


@pytest.mark.parametrize("way", ["page", "command"])
def test_it_can_be_left_out(way: str, hub: Instance, bad: Server, good: Server, staff_browser: Client) -> None:
    move_away(hub)
    if way == "page":
        chosen = {"name": "fra1", "without_former": "on"}
        staff_browser.post(f"/admin/vpn/server/{bad.pk}/compromised/", chosen)
    else:
        call_command("server", "compromised", "fra1", "--without-former", stdout=StringIO())
    assert Server.objects.get(pk=bad.pk).state == ServerState.COMPROMISED
    assert not CompromisedHub.objects.exists()


def test_a_hub_with_new_keys_since_it_left_is_not_concerned(hub: Instance, bad: Server, good: Server) -> None:
    rebuild_instance(hub, by=BY, in_place=False)
    go_on(hub)
    Instance.objects.filter(pk=hub.pk).update(keys_replaced_at=timezone.now())
    end_forwarding(Instance.objects.get(pk=hub.pk), by=BY)
    look()
    assert not FormerHub.objects.exists()


def test_one_on_it_can_be_deleted(hub: Instance, bad: Server, servers: Servers) -> None:
    report(bad)
    delete_instance(hub, by=BY)
    destroy_instance(str(hub.pk))
    assert not Instance.objects.exists()
    assert not CompromisedHub.objects.exists()


def test_a_job_that_works_on_the_hub_is_waited_for(hub: Instance, bad: Server, good: Server) -> None:
    """It may be about to send the hub's settings to the server."""
    former = hub.public_key
    later = timezone.now() + timedelta(seconds=30)
    report(bad)
    Instance.objects.update(lease_token="0" * 32, lease_expires_at=later)
    work()
    assert Instance.objects.get().public_key == former
    Instance.objects.update(lease_token=None)
    work()
    assert Instance.objects.get().public_key != former


# Staff ----------------------------------------------------------------------------------------------------------------


def test_staff_see_the_plan_and_type_the_name(
    hub: Instance, peers: dict[str, Peer], bad: Server, good: Server, staff_browser: Client
) -> None:
    address = f"/admin/vpn/server/{bad.pk}/compromised/"
    page = staff_browser.get(address).content.decode()
    for words in (
        "1 hubs of 1 organizations get new keys.",
        "They are created on other servers of Frankfurt that have room: fra2.",
        "3 devices and 1 sites connect nowhere until they have their new profile.",
        "This cannot be undone.",
    ):
        assert words in page
    answer = staff_browser.post(address, {"name": "fra2"})
    assert answer.status_code == 422
    assert "Type the server&#x27;s name: fra1." in answer.content.decode()
    assert Server.objects.get(pk=bad.pk).state == ServerState.READY
    assert staff_browser.post(address, {"name": "fra1"}).status_code == 302
    assert Server.objects.get(pk=bad.pk).state == ServerState.COMPROMISED
    line = JournalEntry.objects.get(code="server.compromised")
    assert line.details["instances"] == [str(hub)]
    page = staff_browser.get(address).content.decode()
    assert "It waits for its new keys." in page
    assert "Report as compromised" not in page
    work()
    assert JournalEntry.objects.get(code="instance.keys_replaced").organization_id == hub.organization_id


def test_the_profiles_concerned_are_a_file(
    hub: Instance, peers: dict[str, Peer], member: Membership, bad: Server, good: Server, staff_browser: Client
) -> None:
    address = f"/admin/vpn/server/{bad.pk}/compromised.csv"

    def rows() -> dict[str, dict[str, str]]:
        content = b"".join(staff_browser.get(address).streaming_content).decode()  # type: ignore[attr-defined]
        return {row["peer"]: row for row in csv.DictReader(StringIO(content))}

    assert set(rows()) == {peer.label for peer in peers.values()}
    report(bad)
    work()
    go_on(hub)
    deliver_profile(Peer.objects.get(pk=peers["laptop"].pk), by=BY)
    found = rows()
    assert found[peers["laptop"].label]["new_profile_fetched"] == "yes"
    assert found[peers["phone"].label]["new_profile_fetched"] == "no"
    assert found[peers["laptop"].label]["email"] == member.user.email


def test_only_staff_with_the_right_to_change_servers_may(bad: Server, client: Client) -> None:
    viewer = make_user("viewer@example.net", is_staff=True)
    viewer.is_superuser = False
    viewer.save()
    client.force_login(viewer)
    for address in (f"/admin/vpn/server/{bad.pk}/compromised/", f"/admin/vpn/server/{bad.pk}/compromised.csv"):
        assert client.get(address).status_code == 403
        assert client.post(address, {"name": "fra1"}).status_code == 403
    client.logout()
    assert client.get(f"/admin/vpn/server/{bad.pk}/compromised/").status_code == 302


def test_former_servers_forward_nobody_to_it(
    hub: Instance, bad: Server, good: Server, region: Region, servers: Servers
) -> None:
    rebuild_instance(hub, by=BY, in_place=False)
    go_on(hub)
    look(forwarding_since=timezone.now())
    report(good)
    good.refresh_from_db()
    work()
    assert list(RetiredHub.objects.values_list("forwards_to", flat=True)) == [[]]
    assert not Move.objects.exists(), "the former server ends the forwarding first"
    look()
    assert hub.hub not in servers["fra1"].forwards
    work()
    assert Move.objects.get().target == bad
    go_on(hub)
    assert servers.answering(hub.hub) == ["fra1", "fra2"]


def test_the_command_does_the_same(hub: Instance, bad: Server, good: Server) -> None:
    out = StringIO()
    call_command("server", "compromised", "fra1", "--plan", stdout=out)
    assert "1 hubs of 1 organizations get new keys." in out.getvalue()
    assert "Acme / Frankfurt: 0 devices, 0 sites" in out.getvalue()
    assert Server.objects.get(pk=bad.pk).state == ServerState.READY
    call_command("server", "compromised", "fra1", stdout=out)
    assert Server.objects.get(pk=bad.pk).state == ServerState.COMPROMISED
    with pytest.raises(CommandError, match="known as compromised already"):
        call_command("server", "compromised", "fra1")


@pytest.mark.parametrize("typed", ["", "fra", "FRA1"])
def test_another_name_is_refused(bad: Server, typed: str) -> None:
    with pytest.raises(InvalidInput):
        report_compromised(bad, typed, by=BY)


def test_this_machine_is_refused(instance: Instance) -> None:
    assert instance.server is not None
    with pytest.raises(NotPossible, match="runs the portal itself"):
        report_compromised(instance.server, instance.server.name, by=BY)
