"""A hub's public name, page to packet: published in a real BIND, resolved by stock clients, repaired, and removed."""

from __future__ import annotations

import re

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.bind import Bind
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.visitor import Visitor

pytestmark = [pytest.mark.publishing_portal, pytest.mark.flow, pytest.mark.network]

# The job runs every five seconds; the machine may be busy.
SOON = 60.0
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def admin(portal: RunningPortal) -> Visitor:
    """The admin's browser."""
    return portal.visitor()


def create(admin: Visitor, hostname: str) -> str:
    """Create an instance, wait until it is ready, and return its id."""
    values = {"name": f"Hub {hostname}", "hostname": hostname, "region": "local"}
    instance = id_in(admin.submit("/instances/new/", values), "instances")
    wait_until(lambda: "Ready" in admin.get(f"/instances/{instance}/").text, SOON, "the instance to be ready")
    return instance


def test_the_name_is_published_before_the_hub_is_proven(lab: Lab, admin: Visitor, bind: Bind) -> None:
    story["instance"], story["name"] = create(admin, "fra"), f"fra.{bind.zone}"
    progress = admin.get(f"/instances/{story['instance']}/progress/").text
    assert progress.index("Publish the name") < progress.index("Prove that packets flow")
    assert f"{story['name']} resolves to {lab.host.v6} and {lab.host.v4}." in progress or (
        f"{story['name']} resolves to {lab.host.v4} and {lab.host.v6}." in progress
    )
    assert bind.answers_of(story["name"], "A") == {lab.host.v4}
    assert bind.answers_of(story["name"], "AAAA") == {lab.host.v6}
    assert story["name"] in admin.get(f"/instances/{story['instance']}/").text


@pytest.mark.parametrize("protocol", ["wireguard", "openvpn"])
def test_a_stock_client_finds_the_hub_by_its_name(lab: Lab, admin: Visitor, protocol: str) -> None:
    device = lab.add_client(protocol)
    values = {"device": protocol, "route_all": "true", "protocol": protocol}
    story[protocol] = add_client(admin, story["instance"], **values)
    profile = fetch_profile(admin, story[protocol])
    assert lab.host.v4 not in profile
    if protocol == "wireguard":
        assert re.search(rf"^Endpoint = {re.escape(story['name'])}:\d+$", profile, re.MULTILINE)
        lab.wg_quick_up(device, profile)
    else:
        assert re.search(rf"^remote {re.escape(story['name'])} \d+ udp$", profile, re.MULTILINE)
        lab.openvpn_up(device, profile, seconds=60)
    lab.wait_ping(device, OUTSIDE_V4, 30)
    page = admin.get(f"/peers/{story[protocol]}/").text
    assert f'It points to <span class="mono">{story["name"]}</span>' in page


def test_a_record_that_someone_else_changed_is_written_again(lab: Lab, admin: Visitor, bind: Bind) -> None:
    bind.change(story["name"], "A", "192.0.2.66")
    settings = f"/instances/{story['instance']}/settings/"
    admin.submit(settings, action=f"/instances/{story['instance']}/name/")
    wait_until(lambda: bind.answers_of(story["name"]) == {lab.host.v4}, SOON, "the record to be written again")
    wait_until(lambda: "Someone else changed its records" in admin.get(settings).text, SOON, "the page to say so")


def test_a_name_that_is_anothers_stays_so_and_its_hub_works_by_address(lab: Lab, admin: Visitor, bind: Bind) -> None:
    story["taken"] = create(admin, "taken")
    assert bind.answers_of(f"taken.{bind.zone}") == {"192.0.2.9"}
    page = admin.get(f"/instances/{story['taken']}/").text
    assert "that this portal did not make" in page
    profile = fetch_profile(admin, add_client(admin, story["taken"], device="tablet", route_all="true"))
    assert re.search(rf"^Endpoint = {re.escape(lab.host.v4)}:\d+$", profile, re.MULTILINE)
    tablet = lab.add_client("tablet")
    lab.wg_quick_up(tablet, profile)
    lab.wait_ping(tablet, OUTSIDE_V4, 30)


def test_a_deleted_instance_takes_its_records_with_it(admin: Visitor, bind: Bind) -> None:
    for instance in (story["instance"], story["taken"]):
        admin.submit(f"/instances/{instance}/delete/", action=f"/instances/{instance}/delete/")

    def left() -> set[str]:
        names = ((story["name"], "A"), (story["name"], "AAAA"), (f"_vpn-portal.{story['name']}", "TXT"))
        return set().union(*(bind.answers_of(name, kind) for name, kind in names))

    wait_until(lambda: not left(), SOON, "the records to be removed")
    assert bind.answers_of(f"taken.{bind.zone}") == {"192.0.2.9"}


def test_the_key_is_in_no_log(portal: RunningPortal, bind: Bind) -> None:
    logs = portal.logs()
    assert bind.secret not in logs
    assert "Traceback" not in logs
