"""The pages of revisions: the list, two side by side, and the return with its plan."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.actions.group import create_group
from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_site, make_site_peer, settle
from vpn.actions.activity import planning
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import delete_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.models import Instance, Revision, Site

pytestmark = pytest.mark.django_db


@pytest.fixture
def berlin(organization: Organization, instance: Instance) -> Site:
    """A connected site: revision 2."""
    site = make_site(organization, name="Berlin")
    make_site_peer(instance, site, subnets=["10.1.0.0/24"])
    return site


@pytest.fixture
def changed(instance: Instance, organization: Organization, berlin: Site, member: Membership) -> Instance:
    """Revision 3 lets Sales print in Berlin; revision 4 closes it, and changes more."""
    group = create_group(organization, name="Sales", members=[member.pk], by=BY)
    peer = make_client_peer(instance, member, "laptop")
    rule = {"name": "print", "source": f"group:{group.pk}", "destination": f"site:{berlin.pk}"}
    update_instance(instance, firewall=[{**rule, "protocol": "tcp", "port": "631"}], firewall_policy="deny", by=BY)
    update_instance(instance, firewall=[], mtu=1300, by=BY)
    settle(instance)
    deliver_profile(peer, by=BY)
    return instance


def text_of(response: Any) -> str:
    """The page's words."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace(" .", ".")


def revision(instance: Instance, number: int) -> Revision:
    return Revision.objects.get(instance=instance, number=number)


def seen_in(response: Any) -> str:
    return str(re.search(r'name="seen" value="(\d+)"', response.content.decode())[1])  # type: ignore[index]


def test_the_list_names_what_changed_who_when_and_why(
    admin_browser: Client, changed: Instance, admin: Membership
) -> None:
    admin_browser.post(f"/instances/{changed.pk}/settings/", {"name": changed.name, "mtu": "1344", "note": "PPPoE"})
    page = admin_browser.get(f"/instances/{changed.pk}/revisions/")
    text = text_of(page)
    assert "MTU changed “PPPoE”" in text
    assert admin.user.email in text
    assert "Rule “print” added" in text
    assert 'name="before"' in page.content.decode()
    line = re.search(r'href="(/activity/\?before=[^"]+)"', page.content.decode())
    assert line is not None
    assert "Settings of the instance changed" in text_of(admin_browser.get(line[1]))
    assert (
        f'href="/instances/{changed.pk}/revisions/"'
        in admin_browser.get(f"/instances/{changed.pk}/activity/").content.decode()
    )


def test_the_list_costs_the_same_however_long_it_is(admin_browser: Client, changed: Instance) -> None:
    counts = []
    for mtu in (1312, *range(1328, 1488, 16)):
        with CaptureQueriesContext(connection) as queries:
            admin_browser.get(f"/instances/{changed.pk}/revisions/")
        counts.append(len(queries))
        update_instance(changed, mtu=mtu, by=BY)
    assert len(set(counts[1:])) == 1


def test_two_are_side_by_side_with_the_difference_in_reachability(auditor_browser: Client, changed: Instance) -> None:
    page = auditor_browser.get(f"/instances/{changed.pk}/revisions/compare/?before=3&after=4")
    text = text_of(page)
    assert "1. Accept TCP 631 from Sales (group) to Berlin (site)" in text
    assert "1328 1300" in text
    assert "Closes" in text
    assert "Berlin" in text
    assert "outdated" not in text
    assert "Return to this revision" not in text
    same = text_of(auditor_browser.get(f"/instances/{changed.pk}/revisions/compare/?before=4&after=4"))
    assert "With both, the same peers reach the same" in same


@pytest.mark.parametrize("query", ["?after=99", "?after=x", "?before=0&after=2", "?after=99999999999"])
def test_a_number_that_is_none_is_not_there(auditor_browser: Client, changed: Instance, query: str) -> None:
    assert auditor_browser.get(f"/instances/{changed.pk}/revisions/compare/{query}").status_code == 404


def test_a_site_that_is_gone_is_named_as_left_out(
    auditor_browser: Client, changed: Instance, organization: Organization, berlin: Site
) -> None:
    delete_peer(changed.peers.get(site=berlin), by=BY)
    text = text_of(auditor_browser.get(f"/instances/{changed.pk}/revisions/compare/?before=4&after=5"))
    assert "Left out, since not connected now: Berlin" in text
    assert "Berlin removed 10.1.0.0/24 none" in text


def test_a_large_comparison_is_made_when_it_is_asked_for(
    auditor_browser: Client, changed: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_FEW_PEERS", 0)
    path = f"/instances/{changed.pk}/revisions/compare/?before=3&after=4"
    page = auditor_browser.get(path)
    assert "Closes" not in text_of(page)
    assert "reach=full" in page.content.decode()
    assert "Closes" in text_of(auditor_browser.get(f"{path}&reach=full"))


def test_the_return_shows_its_plan_then_one_click_does_it(admin_browser: Client, changed: Instance) -> None:
    path = f"/revisions/{revision(changed, 3).pk}/return/"
    page = admin_browser.get(path)
    text = text_of(page)
    assert "Opens" in text
    assert "1 of 1 delivered profile becomes outdated" in text
    assert Revision.objects.filter(instance=changed).count() == 4
    answer = admin_browser.post(path, {"seen": seen_in(page), "note": "they have to print"}, follow=True)
    assert "Returned to revision 3." in text_of(answer)
    made = Revision.objects.filter(instance=changed)[0]
    assert (made.number, made.returned_to, made.note) == (5, 3, "they have to print")
    assert "Returned to revision 3 Rule “print” added MTU changed “they have to print”" in text_of(answer)


def test_a_change_made_meanwhile_is_told_once(admin_browser: Client, changed: Instance) -> None:
    path = f"/revisions/{revision(changed, 3).pk}/return/"
    seen = seen_in(admin_browser.get(path))
    update_instance(changed, mtu=1344, by=BY)
    refused = admin_browser.post(path, {"seen": seen})
    assert refused.status_code == 409
    assert "Another user changed this meanwhile. Nothing is changed yet." in text_of(refused)
    assert seen_in(refused) == "5"
    assert admin_browser.post(path, {"seen": "5"}).status_code == 302


def test_what_is_left_out_is_named_before_and_a_conflict_is_a_sentence(
    admin_browser: Client, changed: Instance, organization: Organization, berlin: Site
) -> None:
    delete_peer(changed.peers.get(site=berlin), by=BY)
    path = f"/revisions/{revision(changed, 3).pk}/return/"
    assert "Berlin is not connected any more: its subnets are left out." in text_of(admin_browser.get(path))
    make_site_peer(changed, berlin, subnets=["10.5.0.0/24"])
    make_site_peer(changed, make_site(organization, name="Rome"), subnets=["10.1.0.0/24"])
    text = text_of(admin_browser.get(path))
    assert "This is not possible now Berlin: 10.1.0.0/24" in text
    assert "Return to this revision" not in text
    assert admin_browser.post(path).status_code == 409


def test_notes_are_on_the_forms_that_change_something(
    admin_browser: Client, changed: Instance, berlin: Site, organization: Organization
) -> None:
    hub = f"/instances/{changed.pk}"
    forms: list[tuple[str, dict[str, str]]] = [
        (f"{hub}/routing/", {"pushed_routes": "198.51.100.0/24"}),
        (f"{hub}/dns/", {"public_dns": "1.1.1.1"}),
        (f"{hub}/firewall/", {"firewall_policy": "allow"}),
        (f"/sites/{berlin.pk}/", {"name": "Berlin", "platform": "linux", "subnets": "10.1.7.0/24"}),
        (
            f"/peers/{changed.peers.get(site=berlin).pk}/edit/",
            {"subnets": "10.1.8.0/24", "protocol": "wireguard"},
        ),
        (f"{hub}/peers/new-site/", {"site_id": str(make_site(organization, name="Rome").pk), "subnets": "10.6.0.0/24"}),
    ]
    for path, form in forms:
        assert 'name="note"' in admin_browser.get(path).content.decode(), path
        assert admin_browser.post(path, {**form, "note": f"by {path}"}).status_code == 302, path
        assert Revision.objects.filter(instance=changed)[0].note == f"by {path}"
