"""The management of routers on the firewall page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.actions.group import create_group
from portal.models import Group, Membership, Organization
from tests.factories import BY, make_site
from tests.visitor import Form, forms_in
from vpn.actions.instances.settings import update_instance
from vpn.models import Instance, Site


@pytest.fixture
def group(organization: Organization, member: Membership) -> Group:
    return create_group(organization, name="Operations", members=[member.pk], by=BY)


def path_of(instance: Instance) -> str:
    return f"/instances/{instance.pk}/firewall/"


def form_on(browser: Client, instance: Instance) -> Form:
    return forms_in(browser.get(path_of(instance)).content.decode())[0]


def send(browser: Client, instance: Instance, **changes: list[str]) -> str:
    """Send the form as it is, with some fields changed; the page that follows."""
    data: dict[str, Any] = {**form_on(browser, instance).fields, **changes}
    return browser.post(path_of(instance), data, follow=True).content.decode()


def test_it_is_switched_on_and_off(admin_browser: Client, instance: Instance, site: Site, group: Group) -> None:
    assert "management_sources" not in form_on(admin_browser, instance).fields
    chosen = [f"site:{site.pk}", f"group:{group.pk}"]
    page = send(admin_browser, instance, management_services=["ssh", "https"], management_sources=chosen)
    instance.refresh_from_db()
    assert (instance.management_services, instance.management_sources) == (["ssh", "https"], chosen)
    assert f"{site.name} (site), Operations (group) may manage routers: SSH, HTTPS" in page
    # Saving the page as it is changes nothing.
    generation = instance.desired_generation
    send(admin_browser, instance)
    instance.refresh_from_db()
    assert instance.desired_generation == generation
    send(admin_browser, instance, management_services=[], management_sources=[])
    instance.refresh_from_db()
    assert (instance.management_services, instance.management_sources) == ([], [])


def test_a_fault_is_beside_its_field(admin_browser: Client, instance: Instance, site: Site) -> None:
    page = send(admin_browser, instance, management_services=["ssh"])
    assert "Choose at least one site or group that may use these services." in page
    instance.refresh_from_db()
    assert not instance.management_services


def test_a_form_without_the_card_leaves_it(admin_browser: Client, instance: Instance, site: Site) -> None:
    update_instance(instance, management_services=["ssh"], management_sources=[f"site:{site.pk}"], by=BY)
    admin_browser.post(path_of(instance), {"firewall_policy": "deny"})
    instance.refresh_from_db()
    assert (instance.firewall_policy, instance.management_services) == ("deny", ["ssh"])


def test_another_is_found_by_name_where_there_are_many(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    for number in range(55):
        make_site(organization, name=f"Branch {number:02}")
    last = make_site(organization, name="Zurich")
    send(admin_browser, instance, management_services=["winbox"], management_more=["Zurich"])
    instance.refresh_from_db()
    assert instance.management_sources == [f"site:{last.pk}"]
    assert form_on(admin_browser, instance).fields["management_sources"] == [f"site:{last.pk}"]


def test_who_may_only_read_sees_it(auditor_browser: Client, instance: Instance, site: Site) -> None:
    assert "may manage routers" not in auditor_browser.get(path_of(instance)).content.decode()
    update_instance(instance, management_services=["snmp"], management_sources=[f"site:{site.pk}"], by=BY)
    assert f"{site.name} (site) may manage routers: SNMP" in auditor_browser.get(path_of(instance)).content.decode()


def test_the_preview_says_who_reaches_routers(admin_browser: Client, instance: Instance, site: Site) -> None:
    update_instance(instance, firewall_policy="deny", by=BY)
    chosen = {"management_services": ["ssh"], "management_sources": [f"site:{site.pk}"], "preview": ["true"]}
    send(admin_browser, instance, **chosen)
    instance.refresh_from_db()
    assert not instance.management_sources
