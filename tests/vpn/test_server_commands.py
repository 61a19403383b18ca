"""Regions and servers by command and in Django admin."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from portal.management.commands import prepare
from tests.factories import BY
from tests.vpn.ssh_servers import make_server, server_access
from vpn import failures
from vpn.actions.servers.condition import note_silence
from vpn.actions.servers.region import add_region
from vpn.actions.servers.server import note_host_key
from vpn.choices import ServerState
from vpn.keys import generate_ssh_key, ssh_fingerprint
from vpn.models import Region, Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def region() -> Region:
    """A region without servers."""
    return add_region("fra", "Frankfurt", by=BY)


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


def act(browser: Client, action: str, server: Server, **more: str) -> str:
    """Run an action of the list of servers; returns the page that follows."""
    values = {"action": action, "_selected_action": str(server.pk), **more}
    return browser.post("/admin/vpn/server/", values, follow=True).content.decode()


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
