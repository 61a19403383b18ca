"""The subnets of a site are one list: the site, its peers on every instance, hubs and pages show the same."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from portal.models import Organization
from tests import factories
from tests.factories import BY
from tests.revising import unrevised
from tests.visitor import forms_in
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.profiles.profile import deliver_profile
from vpn.desired import compile_spec
from vpn.models import ChangePlan, Instance, Peer, Site

pytestmark = pytest.mark.both_databases

A, B, C, D = "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "fd10:4::/64"
EXIT = "0.0.0.0/0"


@pytest.fixture
def hubs(organization: Organization) -> tuple[Instance, Instance]:
    """Two instances of one organization."""
    return factories.make_instance(organization, name="First"), factories.make_instance(organization, name="Second")


@pytest.fixture
def berlin(organization: Organization) -> Site:
    """A site with two subnets, connected nowhere."""
    return factories.make_site(organization, name="Berlin", subnets=[A, B])


@pytest.fixture
def both(hubs: tuple[Instance, Instance], berlin: Site) -> tuple[Peer, Peer]:
    """The site's peers, on both instances with all of its subnets."""
    first, second = (factories.make_site_peer(hub, berlin, [A, B]) for hub in hubs)
    for hub in hubs:
        factories.settle(hub)
    return first, second


def path_of(peer: Peer) -> str:
    return f"/instances/{peer.instance_id}/peers/{peer.pk}"


def shown(api: Caller, site: Site) -> list[list[str]]:
    """What everything says of a site's subnets: the site itself, its list, and each of its peers with its hub."""
    declared = told(api.get(f"/sites/{site.pk}"), 200)["subnets"]
    listed = [one["subnet"] for one in told(api.get(f"/site/{site.pk}/subnets"), 200)]
    found = [declared, listed]
    for peer in site.peers.order_by("instance__name"):
        found.append(told(api.get(path_of(peer)), 200)["subnets"])
        assert compile_spec(peer.instance_id).document["peers"][str(peer.pk)]["routes"] == found[-1]
    return found


def test_a_peer_advertises_what_its_site_has(api: Caller, berlin: Site, instance: Instance) -> None:
    body = {"type": "site", "site_id": str(berlin.pk)}
    assert told(api.post(f"/instances/{instance.pk}/peers", body), 201)["subnets"] == [A, B]
    assert shown(api, berlin) == [[A, B]] * 3


def test_what_the_first_peer_names_is_what_the_site_has(api: Caller, berlin: Site, instance: Instance) -> None:
    body = {"type": "site", "site_id": str(berlin.pk), "subnets": [C]}
    told(api.post(f"/instances/{instance.pk}/peers", body), 201)
    assert shown(api, berlin) == [[C]] * 3


def test_a_site_without_subnets_needs_some_to_be_connected(
    api: Caller, organization: Organization, instance: Instance
) -> None:
    site = factories.make_site(organization)
    body = {"type": "site", "site_id": str(site.pk)}
    assert list(refused(api.post(f"/instances/{instance.pk}/peers", body), 422)["errors"]) == ["subnets"]


def test_a_change_of_the_site_is_one_of_its_peers(
    api: Caller,
    berlin: Site,
    both: tuple[Peer, Peer],
    rung: list[tuple[str, ...]],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    before = [peer.instance.desired_generation for peer in both]
    with django_capture_on_commit_callbacks(execute=True):
        told(api.put(f"/sites/{berlin.pk}", {"subnets": [B, C, D]}), 200)
    assert shown(api, berlin) == [[B, C, D]] * 4
    for peer, generation in zip(both, before, strict=True):
        peer.refresh_from_db()
        assert peer.instance.desired_generation == peer.changed_generation == generation + 1
        assert ChangePlan.objects.filter(instance=peer.instance, generation=generation + 1).exists()
    assert {ids[-1] for ids in rung} >= {str(peer.instance_id) for peer in both}


def test_a_change_of_a_peer_is_one_of_the_site(api: Caller, berlin: Site, both: tuple[Peer, Peer]) -> None:
    first, _second = both
    told(api.put(path_of(first), {"subnets": [C, B]}), 200)
    assert shown(api, berlin) == [[C, B]] * 4


def test_saving_the_same_subnets_moves_no_hub(api: Caller, berlin: Site, both: tuple[Peer, Peer]) -> None:
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [B, A], "place": "Kreuzberg"}), 200)
    for peer in both:
        assert peer.instance.desired_generation == Instance.objects.get(pk=peer.instance_id).desired_generation


def test_broad_routes_are_the_peers_alone(api: Caller, berlin: Site, both: tuple[Peer, Peer]) -> None:
    first, _second = both
    told(api.put(path_of(first), {"subnets": [A, B, EXIT], "confirm_broad_routes": True}), 200)
    assert shown(api, berlin) == [[A, B], [A, B], [A, B, EXIT], [A, B]]
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [A, C]}), 200)
    assert shown(api, berlin) == [[A, C], [A, C], [A, C, EXIT], [A, C]]
    [message] = refused(api.put(f"/sites/{berlin.pk}", {"subnets": [A, EXIT]}), 422)["errors"]["subnets"]
    assert message.startswith("0.0.0.0/0 is a route through this router, not a subnet behind it")


def test_a_second_peer_may_name_a_part(api: Caller, berlin: Site, hubs: tuple[Instance, Instance]) -> None:
    first, second = hubs
    factories.make_site_peer(first, berlin, [A, B])
    part = factories.make_site_peer(second, berlin, [B])
    assert shown(api, berlin) == [[A, B], [A, B], [A, B], [B]]
    # What is added stays away from it, what is removed goes from it, too.
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [A, B, C]}), 200)
    assert shown(api, berlin) == [[A, B, C], [A, B, C], [A, B, C], [B]]
    told(api.put(path_of(part), {"subnets": [C, D]}), 200)
    assert shown(api, berlin) == [[A, B, C, D]] * 3 + [[C, D]]
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [A, C]}), 200)
    assert shown(api, berlin) == [[A, C]] * 3 + [[C]]
    errors = refused(api.put(f"/sites/{berlin.pk}", {"subnets": [A]}), 422)["errors"]
    left = f"On Second: this would leave the peer without subnets: it has only {C}. Change or delete that peer first."
    assert errors == {"subnets": [left]}
    assert shown(api, berlin) == [[A, C]] * 3 + [[C]]


def test_a_second_peer_adds_what_the_site_did_not_have(
    api: Caller, berlin: Site, hubs: tuple[Instance, Instance]
) -> None:
    for hub, subnets in zip(hubs, ([A], [A, C]), strict=True):
        factories.make_site_peer(hub, berlin, subnets)
    assert shown(api, berlin) == [[A, C]] * 4


def test_what_another_instance_refuses_is_saved_nowhere(
    api: Caller, berlin: Site, both: tuple[Peer, Peer], organization: Organization
) -> None:
    first, second = both
    factories.make_site_peer(second.instance, factories.make_site(organization, name="Paris"), [C])
    generations = sorted(Instance.objects.values_list("desired_generation", flat=True))
    for answer in (
        api.put(f"/sites/{berlin.pk}", {"subnets": [A, C], "name": "Bonn", "place": "Rhine"}),
        api.put(path_of(first), {"subnets": [A, C]}),
    ):
        [message] = refused(answer, 409, "subnet-overlap")["errors"]["subnets"]
        assert message == "On Second: 10.3.0.0/24 is advertised by the site Paris already."
    assert shown(api, berlin) == [[A, B]] * 4
    assert (Site.objects.get(pk=berlin.pk).name, Site.objects.get(pk=berlin.pk).place) == ("Berlin", "")
    assert generations == sorted(Instance.objects.values_list("desired_generation", flat=True))


def test_nesting_on_another_instance_is_confirmed_once(
    api: Caller, admin_browser: Client, berlin: Site, both: tuple[Peer, Peer], organization: Organization
) -> None:
    first, second = both
    factories.make_site_peer(second.instance, factories.make_site(organization, name="Paris"), ["10.3.0.0/25"])
    body = {"subnets": [A, B, C]}
    for path in (f"/sites/{berlin.pk}", path_of(first)):
        [message] = refused(api.put(path, body), 409, "subnet-nested")["errors"]["subnets"]
        assert message.startswith("On Second: 10.3.0.0/24 contains 10.3.0.0/25 of the site Paris")
    told(api.put(path_of(first), {**body, "confirm_broad_routes": True}), 200)
    assert shown(api, berlin) == [[A, B, C]] * 4
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [A]}), 200)
    fields = {"name": "Berlin", "platform": "linux", "subnets": f"{A}\n{C}"}
    page = admin_browser.post(f"/sites/{berlin.pk}/", fields).content.decode()
    assert 'type="checkbox" name="confirm_broad_routes" value="true"' in page
    admin_browser.post(f"/sites/{berlin.pk}/", {**fields, "confirm_broad_routes": "true"})
    assert shown(api, berlin) == [[A, C]] * 4


def test_an_instance_that_goes_away_is_in_nobodys_way(api: Caller, berlin: Site, both: tuple[Peer, Peer]) -> None:
    Instance.objects.filter(pk=both[0].instance_id).update(state="deleting")
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [C]}), 200)
    assert [peer.subnets for peer in berlin.peers.all()] == [[C], [C]]


def test_the_last_subnet_of_a_connected_site_stays(api: Caller, berlin: Site, both: tuple[Peer, Peer]) -> None:
    errors = refused(api.put(f"/sites/{berlin.pk}", {"subnets": []}), 422)["errors"]
    assert [message.partition(":")[0] for message in errors["subnets"]] == ["On First", "On Second"]


def test_a_stale_change_of_a_peer_is_refused_and_a_fresh_one_made(
    api: Caller, berlin: Site, both: tuple[Peer, Peer]
) -> None:
    first, second = both
    seen = [api.get(path)["ETag"] for path in (f"/sites/{berlin.pk}", path_of(first))]
    told(api.put(path_of(second), {"subnets": [A]}, If_Match=api.get(path_of(second))["ETag"]), 200)
    refused(api.put(f"/sites/{berlin.pk}", {"subnets": [B]}, If_Match=seen[0]), 412)
    refused(api.put(path_of(first), {"subnets": [B]}, If_Match=seen[1]), 412)
    told(api.put(f"/sites/{berlin.pk}", {"subnets": [B]}, If_Match=api.get(f"/sites/{berlin.pk}")["ETag"]), 200)
    assert shown(api, berlin) == [[B]] * 4


def test_a_plan_tells_of_every_instance(
    api: Caller, berlin: Site, both: tuple[Peer, Peer], organization: Organization
) -> None:
    devices = [factories.make_client_peer(peer.instance, factories.an_admin(organization)) for peer in both]
    for device in devices:
        factories.settle(device.instance)
        deliver_profile(device, by=BY)
    for path in (path_of(both[0]), f"/sites/{berlin.pk}"):
        plan = told(api.put(f"{path}?plan=true", {"subnets": [A, B, C]}), 200)
        assert sorted(plan["outdated"]) == sorted(str(device.pk) for device in devices)
    assert shown(api, berlin) == [[A, B]] * 4


def test_databases_with_two_truths_keep_what_is_routed(berlin: Site, both: tuple[Peer, Peer]) -> None:
    first, second = both
    with unrevised():
        Peer.objects.filter(pk=first.pk).update(subnets=[B, C, EXIT])
        Peer.objects.filter(pk=second.pk).update(subnets=[A])
    import_module("vpn.migrations.0017_site_subnets").take_over(apps, None)
    berlin.refresh_from_db()
    assert berlin.subnets == [A, B, C]
    assert [peer.subnets for peer in berlin.peers.order_by("instance__name")] == [[B, C, EXIT], [A]]


def test_pages_show_it_alike(admin_browser: Client, berlin: Site, both: tuple[Peer, Peer]) -> None:
    first, second = both
    page = admin_browser.get(f"/peers/{first.pk}/edit/").content.decode()
    assert "a change is made on Second too" in page
    admin_browser.post(f"/peers/{first.pk}/edit/", {"subnets": f"{A}\n{C}"})
    for url in (
        "/sites/",
        f"/sites/{berlin.pk}/",
        f"/peers/{first.pk}/",
        f"/peers/{second.pk}/",
        f"/instances/{second.instance_id}/routing/",
    ):
        page = admin_browser.get(url).content.decode()
        assert A in page
        assert C in page
        assert B not in page
    assert admin_browser.get(f"/sites/{berlin.pk}/").content.decode().count("with all of its subnets") == 2


def test_the_sites_page_says_what_a_change_means_and_what_is_in_the_way(
    admin_browser: Client, berlin: Site, both: tuple[Peer, Peer]
) -> None:
    fields = {"name": "Berlin", "platform": "linux", "subnets": f"{A}\n{C}"}
    headers = {"HX-Request": "true", "HX-Target": "plan"}

    def ask(**values: str) -> str:
        sent = {**fields, "preview": "true", **values}
        return admin_browser.post(f"/sites/{berlin.pk}/", sent, headers=headers).content.decode()

    assert C in ask()
    assert B in ask()
    assert "On First: Name at least one subnet" in ask(subnets="")
    assert "Nothing changes for any peer" in ask(subnets=f"{B}\n{A}")
    berlin.refresh_from_db()
    assert berlin.subnets == [A, B]


def test_a_new_sites_page_leads_on(admin_browser: Client, hubs: tuple[Instance, Instance]) -> None:
    page = admin_browser.post("/sites/new/", {"name": "Bonn", "platform": "linux", "subnets": A}, follow=True)
    site = Site.objects.get()
    assert page.redirect_chain == [(f"/sites/{site.pk}/", 302)]
    text = page.content.decode()
    assert "Connect to an instance" in text
    for hub in hubs:
        assert f'href="/instances/{hub.pk}/peers/new-site/?site_id={site.pk}"' in text
    form = admin_browser.get(f"/instances/{hubs[0].pk}/peers/new-site/?site_id={site.pk}").content.decode()
    assert f"{A}</textarea>" in form


@pytest.mark.parametrize("page", ["site", "peer"])
def test_a_form_that_leaves_the_subnets_alone_undoes_nobodys_change(
    api: Caller, admin_browser: Client, berlin: Site, both: tuple[Peer, Peer], page: str
) -> None:
    first, second = both
    url = f"/sites/{berlin.pk}/" if page == "site" else f"/peers/{first.pk}/edit/"
    fields = forms_in(admin_browser.get(url).content.decode())[0].fields
    told(api.put(path_of(second), {"subnets": [A, C]}), 200)
    mine = {"place": "Kreuzberg"} if page == "site" else {"protocol": "openvpn"}
    assert admin_browser.post(url, {**fields, **mine}).status_code == 302
    assert shown(api, berlin) == [[A, C]] * 4
    assert Site.objects.get(pk=berlin.pk).place == mine.get("place", "")
    assert Peer.objects.get(pk=first.pk).protocol == mine.get("protocol", "wireguard")
    # Who does change them says what they are to be.
    assert admin_browser.post(url, {**fields, "subnets": f"{A} {B} {D}"}).status_code == 302
    assert shown(api, berlin) == [[A, B, D]] * 4
