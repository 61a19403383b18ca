"""Cloud accounts: what staff enter, the test of the credentials, and what is paid for and not known."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Organization
from portal.reseal import reseal_all
from tests.factories import BY
from tests.lab.ec2 import REGION, Ec2
from tests.vpn.clouds.made import SECRET, Servers, hurry, make_instance, settings_for, the_node, work
from vpn.actions.instances.move import move_instance
from vpn.actions.servers.account import remove_account, set_account
from vpn.actions.servers.region import add_region
from vpn.choices import Driver, OperationKind, ServerState, StepName
from vpn.drivers.cloud.base import Tag
from vpn.jobs import clouds
from vpn.jobs.clouds import remove_stray, ring_for_clouds, sweep_cloud
from vpn.models import CloudAccount, Instance, Operation, Region, StrayNode, portal_tag
from vpn.presenters import servers as shown

pytestmark = pytest.mark.django_db
ACCOUNTS = "/admin/vpn/cloudaccount/"
STRAYS = "/admin/vpn/straynode/"


def posted(region: Region, ec2: Ec2, **other: Any) -> dict[str, Any]:
    """The form of an account as a browser sends it."""
    return {"region": region.pk, "secret": "", **settings_for(ec2), "ssh_from": "192.0.2.0/24", **other}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"provider": "EC2"}, "provider"),
        ({"provider": "hetznercloud"}, "provider"),
        ({"key": ""}, "key"),
        ({"location": ""}, "location"),
        ({"size": ""}, "size"),
        ({"image": "two words"}, "image"),
        ({"endpoint": "ftp://cloud.example.net"}, "endpoint"),
        ({"endpoint": "https://me:secret@cloud.example.net"}, "endpoint"),
        ({"endpoint": "http://cloud.example.net"}, "endpoint"),
        ({"endpoint": "http://192.0.2.1:5000"}, "endpoint"),
        ({"endpoint": "https://cloud.example.net:99999"}, "endpoint"),
        ({"capacity": 0}, "capacity"),
        ({"ssh_from": ["2001:db8::/32"]}, "ssh_from"),
        ({"provider": "openstack"}, "project"),
    ],
)
def test_a_fault_of_the_settings_is_named(ec2: Ec2, region: Region, given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        set_account(region, by=BY, **settings_for(ec2, **given))
    assert field in refused.value.errors


def test_an_account_needs_a_secret_and_a_region_of_the_driver(ec2: Ec2, db: None) -> None:
    bare = add_region("bare", "Bare", driver=Driver.CLOUD, by=BY)
    with pytest.raises(InvalidInput, match="secret access key"):
        set_account(bare, by=BY, **settings_for(ec2))
    with pytest.raises(InvalidInput, match="not ordered from a cloud"):
        set_account(add_region("ssh", "SSH", by=BY), by=BY, secret=SECRET, **settings_for(ec2))


def test_the_secret_is_sealed_and_kept_if_none_is_entered(ec2: Ec2, region: Region, account: CloudAccount) -> None:
    assert SECRET not in account.secret_sealed
    set_account(region, by=BY, **settings_for(ec2, size="t3.medium"))
    account.refresh_from_db()
    assert (account.size, account.secret) == ("t3.medium", SECRET)
    assert reseal_all().closed == set()


@pytest.mark.parametrize(
    "given",
    [{"endpoint": "https://cloud.example.net"}, {"endpoint": ""}, {"provider": "vultr"}, {"key": "AKIAOTHER"}],
)
def test_the_former_secret_goes_to_no_other_host_or_user(
    ec2: Ec2, region: Region, account: CloudAccount, staff_browser: Client, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match="Enter it again"):
        set_account(region, by=BY, **settings_for(ec2, **given))
    page = f"{ACCOUNTS}{account.pk}/change/"
    assert "Enter it again" in staff_browser.post(page, posted(region, ec2, _test="Test", **given)).content.decode()
    account.refresh_from_db()
    assert (account.provider, account.endpoint, account.test_requested_at) == ("ec2", ec2.endpoint, None)
    assert staff_browser.post(page, posted(region, ec2, secret="another", **given)).status_code == 302
    account.refresh_from_db()
    assert account.secret == "another"
    assert [getattr(account, name) for name in given] == [*given.values()]


def test_an_account_with_servers_keeps_its_provider_and_stays(
    ec2: Ec2, organization: Organization, region: Region, account: CloudAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    Servers(monkeypatch)
    make_instance(organization, region)
    work()
    with pytest.raises(NotPossible, match="has servers of ec2"):
        set_account(region, by=BY, **settings_for(ec2, provider="vultr"))
    with pytest.raises(Conflict, match="has servers"):
        remove_account(account, by=BY)


def test_the_credentials_are_tested_by_a_worker(ec2: Ec2, account: CloudAccount) -> None:
    assert "not tested" in shown.test_sentence(account)
    for refused, words in ((None, "credentials work"), ("AuthFailure", "does not accept the credentials")):
        if refused:
            ec2.refuse("DescribeInstances", refused, 401)
        clouds.test_cloud(str(account.pk))
        account.refresh_from_db()
        assert words in shown.test_sentence(account)


def test_the_test_finds_an_image_that_is_not_there(ec2: Ec2, region: Region, account: CloudAccount) -> None:
    set_account(region, by=BY, **settings_for(ec2, image="ami-00000000"))
    clouds.test_cloud(str(account.pk))
    account.refresh_from_db()
    assert "cannot start the image ami-00000000" in shown.test_sentence(account)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"location": "mars-1"}, "has no location mars-1"),
        ({"endpoint": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_settings_that_cannot_work_are_found_by_the_test(
    ec2: Ec2, region: Region, account: CloudAccount, given: dict[str, Any], words: str
) -> None:
    set_account(region, by=BY, secret=SECRET, **settings_for(ec2, **given))
    clouds.test_cloud(str(account.pk))
    account.refresh_from_db()
    assert words in shown.test_sentence(account)


def test_a_provider_that_the_library_does_not_know_any_more_is_found_by_the_test(account: CloudAccount) -> None:
    CloudAccount.objects.filter(pk=account.pk).update(provider="nothing")
    clouds.test_cloud(str(account.pk))
    account.refresh_from_db()
    assert "knows no provider" in shown.test_sentence(account)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"provider": "nosuch"}, "digitalocean, dimensiondata"),
        ({"endpoint": "javascript:x"}, "Enter a URL"),
        ({"endpoint": "https://"}, "Enter a URL"),
        ({"endpoint": "https://a b"}, "Enter a URL"),
        ({"ssh_from": "foo"}, "foo is not an IPv4 network"),
    ],
)
def test_a_fault_is_shown_in_the_form_and_the_input_stays(
    staff_browser: Client, ec2: Ec2, region: Region, account: CloudAccount, given: dict[str, Any], words: str
) -> None:
    for page in (f"{ACCOUNTS}{account.pk}/change/", f"{ACCOUNTS}add/"):
        shown_again = staff_browser.post(page, posted(region, ec2, secret="another", **given)).content.decode()
        assert words in shown_again
        assert str(next(iter(given.values()))) in shown_again
    account.refresh_from_db()
    assert account.secret == SECRET


def test_a_test_without_an_answer_promises_no_other_one(account: CloudAccount) -> None:
    CloudAccount.objects.filter(pk=account.pk).update(endpoint="http://127.0.0.1:9")
    clouds.test_cloud(str(account.pk))
    account.refresh_from_db()
    assert "does not answer" in shown.test_sentence(account)
    assert "The portal" not in shown.test_sentence(account)


def test_staff_add_an_account_and_test_it(
    staff_browser: Client, ec2: Ec2, db: None, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    staff_browser.post("/admin/vpn/region/add/", {"id": "fra", "name": "Frankfurt", "driver": "cloud"})
    region = Region.objects.get(pk="fra")
    assert region.driver == Driver.CLOUD
    page = staff_browser.get(f"{ACCOUNTS}add/").content.decode()
    assert "Hetzner" in page
    assert "leave the firewall of the provider off" in page
    refused = staff_browser.post(f"{ACCOUNTS}add/", posted(region, ec2)).content.decode()
    assert "secret access key" in refused
    staff_browser.post(f"{ACCOUNTS}add/", posted(region, ec2, secret=SECRET))
    account = CloudAccount.objects.get(region=region)
    assert (account.secret, account.ssh_from) == (SECRET, ["192.0.2.0/24"])
    page = staff_browser.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()
    assert "Test the credentials" in page
    assert SECRET not in page
    with django_capture_on_commit_callbacks(execute=True):
        staff_browser.post(f"{ACCOUNTS}{account.pk}/change/", posted(region, ec2, _test="Test the credentials"))
    assert ("provision", "vpn.jobs.clouds.test_cloud", str(account.pk)) in rung
    assert "is testing them" in staff_browser.get(ACCOUNTS).content.decode()
    clouds.test_cloud(str(account.pk))
    assert "The credentials work." in staff_browser.get(ACCOUNTS).content.decode()


def test_nobody_else_sees_them(admin_browser: Client, account: CloudAccount) -> None:
    for page in (ACCOUNTS, STRAYS, "/admin/vpn/cloudnode/"):
        assert admin_browser.get(page).status_code == 302


def told(*arguments: str) -> str:
    """What a command prints."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_commands_add_and_test_a_cloud_region(ec2: Ec2, db: None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    where = ["--provider", "ec2", "--key", "AKIAEXAMPLE", "--location", REGION, "--size", "t3.small"]
    where += ["--image", ec2.image, "--endpoint", ec2.endpoint]
    with pytest.raises(CommandError, match="secret"):
        told("region", "add", "fra", "Frankfurt", "--driver", "cloud", *where)
    assert not Region.objects.filter(pk="fra").exists()
    assert "region test fra" in told(
        "region", "add", "fra", "Frankfurt", "--driver", "cloud", *where, "--secret-file", str(file)
    )
    assert CloudAccount.objects.get().secret == SECRET
    assert "credentials work" in told("region", "test", "fra")
    ec2.refuse("DescribeInstances", "UnauthorizedOperation", 403)
    with pytest.raises(CommandError, match="too few rights"):
        told("region", "test", "fra")
    assert "takes instances" in told("region", "list")


def add_tagged(ec2: Ec2, portal: str) -> Any:
    """Start a node with a portal's tags, past the portal."""
    tag = Tag(portal, uuid4())
    return ec2.add_node(tag.name, **tag.labels)


def test_what_is_paid_for_and_not_known_is_shown_and_removed_only_on_request(
    ec2: Ec2,
    organization: Organization,
    region: Region,
    account: CloudAccount,
    staff_browser: Client,
    monkeypatch: pytest.MonkeyPatch,
    rung: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    Servers(monkeypatch)
    make_instance(organization, region)
    work()
    stray = add_tagged(ec2, portal_tag())
    of_others = [ec2.add_node("a-server-of-someone"), add_tagged(ec2, "01234567")]
    sweep_cloud(str(account.pk))
    (row,) = StrayNode.objects.all()
    assert (row.found_id, row.address) == (stray.id, stray.public_ip)
    assert "it costs money until it is removed" in staff_browser.get(STRAYS).content.decode()
    remove_stray(str(row.pk))
    assert stray.id in {node.id for node in ec2.nodes()}, "nobody has asked for it"
    chosen = {"action": "remove", "_selected_action": str(row.pk)}
    assert stray.id in staff_browser.post(STRAYS, chosen).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        staff_browser.post(STRAYS, {**chosen, "confirmed": "true"})
    assert ("provision", "vpn.jobs.clouds.remove_stray", str(row.pk)) in rung
    for _ in range(2):  # Once to end it, once to see that it has ended.
        remove_stray(str(row.pk))
    assert not StrayNode.objects.exists()
    assert {node.id for node in ec2.nodes()} == {the_node().node_id, *(node.id for node in of_others)}


def test_what_is_gone_is_no_stray_any_more(ec2: Ec2, account: CloudAccount) -> None:
    stray = add_tagged(ec2, portal_tag())
    sweep_cloud(str(account.pk))
    assert StrayNode.objects.count() == 1
    ec2.end_node(stray.id)
    sweep_cloud(str(account.pk))
    assert not StrayNode.objects.exists()


def test_a_security_group_that_is_left_is_a_stray_too(
    ec2: Ec2, organization: Organization, region: Region, account: CloudAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    Servers(monkeypatch)
    make_instance(organization, region)
    work()
    # As after a backup was restored that does not know the order.
    node = the_node()
    node.server.instances.update(server=None)
    node.server.delete()
    sweep_cloud(str(account.pk))
    assert sorted(StrayNode.objects.values_list("is_group", flat=True)) == [False, True]


def test_a_sweep_is_due_every_ten_minutes(account: CloudAccount, rung: list[Any]) -> None:
    ring_for_clouds()
    sweep_cloud(str(account.pk))
    ring_for_clouds()
    assert [call[1] for call in rung].count("vpn.jobs.clouds.sweep_cloud") == 1


def test_runs_that_wait_for_a_server_are_estimated_by_such_runs(
    organization: Organization, region: Region, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    Servers(monkeypatch)
    first = make_instance(organization, region, "hub1")
    operation = first.operations.get()
    assert operation.steps.filter(name=StepName.ORDER).exists()
    work()
    Operation.objects.filter(pk=operation.pk).update(
        state="succeeded", started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:03:20Z"
    )
    second = make_instance(organization, region, "hub2")
    found = second.operations.get(kind=OperationKind.PROVISION)
    assert not found.steps.filter(name=StepName.ORDER).exists(), "the server is ready"
    assert found.expected_seconds == 600
    the_node().server.instances.update(server=None)
    hurry()
    region.servers.update(cordoned=True)
    third = make_instance(organization, region, "hub3")
    assert third.operations.get().expected_seconds == 200
    region.servers.update(state=ServerState.NEW, cordoned=False)
    move_instance(instance, region, by=BY)
    assert instance.operations.get(kind=OperationKind.MOVE).expected_seconds == 200
