"""Servers over SSH: what staff may add, whose host key is trusted, what the states mean, and where instances go."""

from __future__ import annotations

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.management.commands import prepare
from portal.models import Organization
from portal.reseal import reseal_all
from tests.factories import BY, make_region
from vpn import failures
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.placement import server_in
from vpn.actions.servers.condition import note_answer, note_silence
from vpn.actions.servers.preparation import begin_preparation, conclude_preparation, note_lines
from vpn.actions.servers.region import add_region
from vpn.actions.servers.server import add_server, confirm_host_key, cordon_server, forget_server, note_host_key
from vpn.choices import ServerState, StepState
from vpn.drivers.base import Unreachable
from vpn.jobs.servers import address_of, driver_for
from vpn.keys import generate_ssh_key, ssh_fingerprint
from vpn.models import Region, Server
from vpn.presenters.servers import why
from vpn.wire import preparing
from vpn.wire.preparing import Line

pytestmark = pytest.mark.django_db


@pytest.fixture
def region() -> Region:
    """A region without servers."""
    return add_region("fra", "Frankfurt", by=BY)


def make_server(region: Region, name: str = "fra1", *, number: int = 7, state: str = ServerState.READY) -> Server:
    """A server as it is after its preparation."""
    server = add_server(region, name, by=BY, ssh=f"root@{name}.example.net", address=f"203.0.113.{number}")
    note_host_key(server, generate_ssh_key()[1], by=BY)
    confirm_host_key(server, server_access(server).seen_fingerprint, by=BY)
    Server.objects.filter(pk=server.pk).update(state=state)
    return Server.objects.select_related("region").get(pk=server.pk)


def server_access(server: Server):  # type: ignore[no-untyped-def]
    return Server.objects.get(pk=server.pk).ssh


def make_instance(organization: Organization, region: Region, hostname: str):  # type: ignore[no-untyped-def]
    return create_instance(organization, name=f"Hub {hostname}", hostname=hostname, region=region, by=BY)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"ssh": "example.net"}, "ssh"),
        ({"ssh": "root@"}, "ssh"),
        ({"ssh": "root@-oProxyCommand=x"}, "ssh"),
        ({"ssh": "-l@example.net"}, "ssh"),
        ({"ssh": "root@example.net:70000"}, "ssh"),
        ({"ssh": "root@example net"}, "ssh"),
        ({"address": "example.net"}, "address"),
        ({"address_v6": "203.0.113.9"}, "address_v6"),
        ({"capacity": 0}, "capacity"),
        ({"name": "x;y"}, "name"),
    ],
)
def test_a_fault_of_the_input_is_named(region: Region, given: dict[str, object], field: str) -> None:
    values = {"name": "fra1", "ssh": "root@example.net", "address": "203.0.113.7", **given}
    with pytest.raises(InvalidInput) as refused:
        add_server(region, by=BY, **values)  # type: ignore[arg-type]
    assert field in refused.value.errors


def test_a_name_and_an_address_belong_to_one_server(region: Region) -> None:
    make_server(region)
    with pytest.raises(Conflict, match="fra1"):
        add_server(region, "fra1", by=BY, ssh="root@other.example.net", address="203.0.113.8")
    with pytest.raises(Conflict, match=r"203\.0\.113\.7"):
        add_server(region, "fra2", by=BY, ssh="root@other.example.net", address="203.0.113.7")


def test_this_machines_region_takes_no_other_servers() -> None:
    with pytest.raises(InvalidInput):
        add_server(make_region(), "fra1", by=BY, ssh="root@example.net", address="203.0.113.7")


def test_a_host_key_is_trusted_only_by_its_fingerprint(region: Region) -> None:
    server = add_server(region, "fra1", by=BY, ssh="root@[2001:db8::7]:2222", address="203.0.113.7")
    with pytest.raises(NotPossible, match="seen yet"):
        confirm_host_key(server, "SHA256:x", by=BY)
    seen = generate_ssh_key()[1]
    note_host_key(server, seen, by=BY)
    with pytest.raises(NotPossible, match="not confirmed"):
        begin_preparation(server, by=BY)
    with pytest.raises(NotPossible, match="not this one"):
        confirm_host_key(server, ssh_fingerprint(generate_ssh_key()[1]), by=BY)
    confirm_host_key(server, ssh_fingerprint(seen), by=BY)
    note_host_key(server, generate_ssh_key()[1], by=BY)
    access = server_access(server)
    assert (access.host_key, access.host, access.port) == (seen, "2001:db8::7", 2222)
    assert access.trusted_fingerprint != access.seen_fingerprint


def test_the_private_key_is_sealed_and_found_by_a_rotation(region: Region, settings: object) -> None:
    access = server_access(make_server(region))
    assert "PRIVATE KEY" in access.private_key
    assert "PRIVATE KEY" not in access.private_key_sealed
    assert reseal_all().closed == set()


def test_the_driver_gets_the_trusted_key_and_hides_the_private_one(region: Region) -> None:
    server = make_server(region)
    address = address_of(server)
    assert address.ssh is not None
    assert address.ssh.host_key == server_access(server).host_key
    assert "PRIVATE KEY" not in repr(address)


def test_an_account_that_is_not_root_gets_a_rule_for_two_commands(region: Region) -> None:
    server = add_server(region, "fra1", by=BY, ssh="portal@example.net", address="203.0.113.7")
    rule = server_access(server).sudo_rule
    assert rule.startswith("portal ALL=(root) NOPASSWD: ")
    assert rule.count("/usr/bin/python3 -I ") == 2


def test_a_preparation_ends_ready(region: Region) -> None:
    server = make_server(region, state=ServerState.NEW)
    begun = begin_preparation(server, by=BY)
    server.refresh_from_db()
    assert server.state == ServerState.PREPARING
    note_lines(begun, [Line(preparing.SYSTEM, preparing.DONE, "debian-12")], by=BY)
    conclude_preparation(begun, by=BY)
    server.refresh_from_db()
    assert (server.state, server.state_reason) == (ServerState.READY, None)
    assert server.preparation_steps.get(name="system").state == StepState.SUCCEEDED


def test_a_failed_step_says_what_to_do_and_lines_of_an_earlier_attempt_are_ignored(region: Region) -> None:
    server = make_server(region, state=ServerState.NEW)
    earlier = begin_preparation(server, by=BY)
    begun = begin_preparation(server, by=BY)
    finding = failures.KEY_NOT_AUTHORISED.of("root")
    for preparation in (earlier, begun):
        server.refresh_from_db()
        assert server.state_reason is None
        note_lines(preparation, [Line(preparing.CONNECT, preparing.FAILED, finding=finding)], by=BY)
    server.refresh_from_db()
    assert server.state == ServerState.PREPARING
    assert "authorized_keys of the account root" in why(server)


def test_it_is_unreachable_after_three_silent_checks_and_ready_after_one_answer(region: Region) -> None:
    server = make_server(region)
    pauses = []
    for expected in (ServerState.READY, ServerState.READY, ServerState.UNREACHABLE, ServerState.UNREACHABLE):
        note_silence(server, failures.SERVER_SILENT.of("fra1.example.net:22"), by=BY)
        server.refresh_from_db()
        assert server.state == expected
        pauses.append(server.check_at)
    assert "fra1.example.net:22" in why(server)
    with pytest.raises(Unreachable) as refused:
        driver_for(server)
    assert refused.value.finding == failures.SERVER_UNREACHABLE.of()
    note_answer(server, by=BY)
    server.refresh_from_db()
    assert (server.state, server.unanswered, server.state_reason) == (ServerState.READY, 0, None)


def test_the_fullest_server_that_fits_takes_the_next_instance(organization: Organization, region: Region) -> None:
    first, second = make_server(region, "fra1", number=7), make_server(region, "fra2", number=8)
    Server.objects.filter(pk=first.pk).update(capacity=2)
    placed = [make_instance(organization, region, f"hub{number}").server for number in range(3)]
    assert placed == [first, first, second]
    cordon_server(second, by=BY)
    assert server_in(region) is None
    cordon_server(second, by=BY, cordoned=False)
    assert server_in(region) == second


@pytest.mark.parametrize("state", [ServerState.NEW, ServerState.PREPARING, ServerState.UNREACHABLE])
def test_a_region_without_a_ready_server_takes_none(organization: Organization, region: Region, state: str) -> None:
    make_server(region, state=state)
    with pytest.raises(InvalidInput, match="no server that is ready"):
        make_instance(organization, region, "hub1")


def test_the_api_and_the_page_say_so(admin_browser: Client, region: Region) -> None:
    make_region()
    page = admin_browser.get("/instances/new/").content.decode()
    assert "Frankfurt has no server that is ready" in page
    make_server(region)
    assert "no server that is ready" not in admin_browser.get("/instances/new/").content.decode()


def test_a_server_that_carries_something_is_not_forgotten(organization: Organization, region: Region) -> None:
    server = make_server(region)
    instance = make_instance(organization, region, "hub1")
    with pytest.raises(NotPossible, match="1 instance"):
        forget_server(server, by=BY)
    with pytest.raises(ProtectedError):
        server.delete()
    instance.delete()
    forget_server(server, by=BY)
    assert not Server.objects.filter(pk=server.pk).exists()


def test_this_machine_is_not_forgotten() -> None:
    with pytest.raises(NotPossible, match="This machine"):
        forget_server(make_region().servers.get(), by=BY)


def told(*arguments: str) -> str:
    """What a command prints."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_commands_add_and_list(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = generate_ssh_key()[1]
    monkeypatch.setattr("vpn.jobs.preparation.seen_host_key", lambda host, port: seen)
    told("region", "add", "fra", "Frankfurt", "--country", "DE", "--latitude", "50.1", "--longitude", "8.7")
    where = ["--ssh", "root@192.0.2.7:2222", "--address", "192.0.2.7", "--address-v6", "2001:db8::7", "--capacity", "3"]
    added = json.loads(told("server", "add", "fra", "fra1", *where))
    assert added.keys() == {"id", "authorized_key", "host_key"}
    assert added["host_key"] == ssh_fingerprint(seen)
    told("server", "confirm", "fra1", "--host-key", added["host_key"])
    Server.objects.update(state=ServerState.READY)
    told("server", "cordon", "fra1")
    row = {"name": "fra1", "region": "fra", "state": "cordoned", "address": "192.0.2.7", "agent": None, "capacity": 3}
    assert json.loads(told("server", "list", "--json")) == [{**row, "instances": 0}]
    told("server", "uncordon", "fra1")
    assert "fra1\tfra\tready" in told("server", "list")
    told("server", "forget", "fra1")
    assert not Server.objects.exists()
    assert "has no server that is ready" in told("region", "list")


def test_this_machine_is_one_region_with_the_code_that_staff_gave_it() -> None:
    told("region", "add", "home", "Home", "--driver", "local")
    prepare._local_region(None, ("203.0.113.9",))
    assert [(one.region_id, one.address) for one in Server.objects.all()] == [("home", "203.0.113.9")]
    with pytest.raises(CommandError, match="is the region home already"):
        told("region", "add", "second", "Second", "--driver", "local")


def test_the_list_of_servers_is_one_query(region: Region, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(3):
        make_server(region, f"fra{number}", number=number)
    with django_assert_num_queries(1):
        told("server", "list")


def test_a_server_that_does_not_answer_is_added_without_a_host_key(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpn.jobs.preparation.seen_host_key", lambda host, port: "")
    added = json.loads(told("server", "add", "fra", "fra1", "--ssh", "me@192.0.2.7", "--address", "192.0.2.7"))
    assert added["host_key"] is None
    assert "/usr/bin/python3 -I -" in added["sudo_rule"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("server", "add", "moon", "fra1", "--ssh", "root@192.0.2.7", "--address", "192.0.2.7"),
        ("server", "prepare", "nothing"),
        ("region", "add", "Fra", "Frankfurt"),
        ("region", "add", "fra", "Frankfurt", "--latitude", "91", "--longitude", "8"),
    ],
)
def test_a_command_refuses_in_a_sentence(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"[a-z]+"):
        told(*arguments)


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"step": "system", "state": "done"},
        {"step": "moon", "state": "done", "value": ""},
        {"step": "system", "state": "odd", "value": ""},
        {"step": "system", "state": "done", "value": "two words"},
        {"step": "system", "state": "failed", "value": "", "finding": {"component": "server"}},
    ],
)
def test_a_malformed_line_of_a_server_is_ignored(document: object) -> None:
    assert preparing.parse_line(document) is None


def test_staff_do_the_same_in_the_admin(staff_browser: Client, rung: list[tuple[str, ...]]) -> None:
    add = {"id": "fra", "name": "Frankfurt", "country": "DE", "latitude": "50.1", "longitude": "8.7"}
    assert staff_browser.post("/admin/vpn/region/add/", add).status_code == 302
    values = {"region": "fra", "name": "fra1", "ssh": "portal@192.0.2.7", "address": "192.0.2.7"}
    faulty = staff_browser.post("/admin/vpn/server/add/", {**values, "ssh": "192.0.2.7"}).content.decode()
    assert "USER@HOST" in faulty
    assert staff_browser.post("/admin/vpn/server/add/", values).status_code == 302
    server = Server.objects.get(name="fra1")
    assert any(str(server.pk) in call for call in rung), "a worker looks at the host key"
    note_host_key(server, generate_ssh_key()[1], by=BY)
    access = server_access(server)
    page = staff_browser.get(f"/admin/vpn/server/{server.pk}/change/").content.decode()
    for shown in (access.authorized_key, access.seen_fingerprint, "NOPASSWD"):
        assert shown in page
    assert access.private_key_sealed not in page
    question = act(staff_browser, "confirm", server)
    assert access.seen_fingerprint in question
    act(staff_browser, "confirm", server, confirmed="true", **{f"key-{server.pk}": access.seen_fingerprint})
    assert server_access(server).host_key
    act(staff_browser, "prepare", server)
    assert Server.objects.get(pk=server.pk).state == ServerState.PREPARING
    assert "Network namespaces" in staff_browser.get(f"/admin/vpn/server/{server.pk}/change/").content.decode()
    act(staff_browser, "cordon", server)
    assert Server.objects.get(pk=server.pk).cordoned
    act(staff_browser, "uncordon", server)
    assert not Server.objects.get(pk=server.pk).cordoned
    act(staff_browser, "forget", server, confirmed="true")
    assert not Server.objects.filter(pk=server.pk).exists()


def test_only_staff_see_the_states_of_servers_in_healthz(
    staff_browser: Client, admin_browser: Client, client: Client, region: Region
) -> None:
    server = make_server(region)
    for _ in range(3):
        note_silence(server, failures.SERVER_SILENT.of("fra1.example.net:22"), by=BY)
    (row,) = [row for row in staff_browser.get("/healthz").json()["servers"] if row["name"] == "fra1"]
    assert (row["region"], row["state"]) == ("fra", "unreachable")
    assert row["since"] == Server.objects.get(pk=server.pk).state_since.isoformat()  # type: ignore[union-attr]
    assert "fra1.example.net:22" in row["reason"]
    for other in (admin_browser, client):
        assert "fra1" not in other.get("/healthz").content.decode()


def act(browser: Client, action: str, server: Server, **more: str) -> str:
    """Run an action of the list of servers; returns the page that follows."""
    values = {"action": action, "_selected_action": str(server.pk), **more}
    return browser.post("/admin/vpn/server/", values, follow=True).content.decode()


def test_no_job_for_a_server_that_is_gone() -> None:
    from vpn.jobs.availability import check_server
    from vpn.jobs.preparation import look_at_host_key, prepare_server

    for job in (check_server, look_at_host_key, prepare_server):
        job(str(uuid4()))
