"""Servers over SSH: what staff may add, whose host key is trusted, what the states mean, and where instances go."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db.models import ProtectedError
from django.test import Client

from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Organization
from portal.reseal import reseal_all
from tests.factories import BY, make_region
from tests.vpn.ssh_servers import make_server, server_access
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


def test_no_job_for_a_server_that_is_gone() -> None:
    from vpn.jobs.availability import check_server
    from vpn.jobs.preparation import look_at_host_key, prepare_server

    for job in (check_server, look_at_host_key, prepare_server):
        job(str(uuid4()))
