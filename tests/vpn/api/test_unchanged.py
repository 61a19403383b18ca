"""Saving what is there already changes nothing: no generation, no operation, no line in Activity, the same ETag."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from portal.actions.group import create_group
from portal.models import Membership, Organization
from tests import factories
from tests.factories import BY
from tests.visitor import forms_in
from tests.vpn.api.caller import Caller, told
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import update_peer
from vpn.models import ChangePlan, Instance, Operation, Peer

KINDS = ("instance", "client", "site peer", "broad site peer", "site", "user", "group")


@pytest.fixture
def world(organization: Organization, member: Membership) -> dict[str, str]:
    """One thing of each kind with something in every field, by the path of the API."""
    group = create_group(organization, name="Sales", members=[member.pk], by=BY)
    instance = factories.make_instance(organization)
    site = factories.make_site(organization, name="Berlin", subnets=["10.1.0.0/24", "fd10:1::/64"])
    berlin = factories.make_site_peer(instance, site, ["10.1.0.0/24", "fd10:1::/64"])
    broad = factories.make_site_peer(instance, factories.make_site(organization, name="Exit"), ["10.9.0.0/24"])
    update_peer(broad, subnets=["10.9.0.0/24", "0.0.0.0/0"], confirm_broad_routes=True, by=BY)
    laptop = factories.make_client_peer(instance, member)
    update_peer(laptop, expires_at=datetime(2099, 1, 2, 3, 4, 5, 678, tzinfo=UTC), route_all=True, by=BY)
    update_instance(
        instance,
        pushed_routes=["10.20.0.0/16", "10.30.0.0/16"],
        split_dns=["10.1.0.53"],
        domains=["corp.example", "lab.example"],
        dns_custom=[{"name": f"{name}.{instance.full_hostname}", "type": "A", "value": "10.1.0.9"} for name in "ab"],
        firewall=[{"name": "Sales", "action": "drop", "source": f"group:{group.pk}", "destination": "10.1.0.0/24"}],
        by=BY,
    )
    factories.settle(instance)
    path = f"/instances/{instance.pk}"
    return {
        "instance": path,
        "client": f"{path}/peers/{laptop.pk}",
        "site peer": f"{path}/peers/{berlin.pk}",
        "broad site peer": f"{path}/peers/{broad.pk}",
        "site": f"/sites/{site.pk}",
        "user": f"/users/{member.pk}",
        "group": f"/groups/{group.pk}",
    }


@pytest.fixture
def unmoved(world: dict[str, str], rung: list[tuple[str, ...]]) -> Callable[[], None]:
    """Asserts that since now nothing was raised, noted or rung for."""

    def state() -> object:
        generations = Instance.objects.values_list("desired_generation", "settings_generation", "whole_generation")
        peers = Peer.objects.order_by("pk").values_list("pk", "changed_generation", "expires_at", "subnets")
        return list(generations), list(peers), Operation.objects.count(), ChangePlan.objects.count(), len(rung)

    before = state()

    def check() -> None:
        assert state() == before

    return check


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_is_sent_back(api: Caller, world: dict[str, str], unmoved: Callable[[], None], kind: str) -> None:
    read = api.get(world[kind])
    sent = api.put(world[kind], told(read, 200), If_Match=read["ETag"])
    assert told(sent, 200) == told(read, 200)
    assert sent["ETag"] == read["ETag"] == api.get(world[kind])["ETag"]
    unmoved()


@pytest.mark.parametrize(
    ("kind", "field"), [("instance", "pushed_routes"), ("instance", "dns_custom"), ("site peer", "subnets")]
)
def test_another_order_that_means_nothing_is_no_change(
    api: Caller, world: dict[str, str], unmoved: Callable[[], None], kind: str, field: str
) -> None:
    read = told(api.get(world[kind]), 200)
    assert len(read[field]) > 1
    assert told(api.put(world[kind], {field: read[field][::-1]}), 200) == read
    unmoved()


def test_another_spelling_is_no_change(api: Caller, world: dict[str, str], unmoved: Callable[[], None]) -> None:
    told(api.put(world["site peer"], {"subnets": ["FD10:1:0::/64", "10.1.0.0/24"]}), 200)
    told(api.put(world["client"], {"device": " laptop "}), 200)
    told(
        api.put(
            world["instance"], {"split_dns": ["10.1.0.53", "10.1.0.53"], "domains": ["Corp.Example", "lab.example"]}
        ),
        200,
    )
    unmoved()


def test_a_rule_that_changes_takes_along_no_setting_that_stays(api: Caller, world: dict[str, str]) -> None:
    before = Instance.objects.get()
    body = told(api.get(world["instance"]), 200)
    body["firewall"][0]["action"] = "reject"
    told(api.put(world["instance"], body), 200)
    after = Instance.objects.get()
    assert (after.desired_generation, after.whole_generation) == (
        before.desired_generation + 1,
        before.whole_generation,
    )


def test_a_confirmation_is_asked_for_what_is_new_alone(
    api: Caller, world: dict[str, str], unmoved: Callable[[], None]
) -> None:
    subnets = told(api.get(world["broad site peer"]), 200)["subnets"]
    for confirmed in (False, True):
        body: dict[str, Any] = {"subnets": subnets, "confirm_broad_routes": confirmed}
        told(api.put(world["broad site peer"], body), 200)
    unmoved()


PAGES = {
    "settings": "/instances/{instance}/settings/",
    "routing": "/instances/{instance}/routing/",
    "dns": "/instances/{instance}/dns/",
    "firewall": "/instances/{instance}/firewall/",
    "client": "/peers/{client}/edit/",
    "site peer": "/peers/{site peer}/edit/",
    "broad site peer": "/peers/{broad site peer}/edit/",
    "site": "/sites/{site}/",
    "user": "/people/{user}/",
    "group": "/people/groups/{group}/",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_form_is_sent_as_it_was_shown(
    admin_browser: Client, world: dict[str, str], unmoved: Callable[[], None], page: str
) -> None:
    url = PAGES[page].format_map({kind: path.rsplit("/", 1)[1] for kind, path in world.items()})
    form = forms_in(admin_browser.get(url).content.decode())[0]
    assert form.method == "post"
    assert admin_browser.post(url, form.fields).status_code == 302
    unmoved()
