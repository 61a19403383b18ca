"""The list of instances: is anything wrong?"""

from __future__ import annotations

import pytest
from django.test import Client

from portal.models import Membership, Organization
from tests.factories import make_client_peer, make_instance
from vpn.choices import InstanceState
from vpn.models import Instance

pytestmark = pytest.mark.django_db


def test_the_first_visit_explains_a_hub_and_leads_to_creating_one(admin_browser: Client) -> None:
    page = admin_browser.get("/").content.decode()
    assert "No instances yet" in page
    assert 'href="/instances/new/"' in page


def test_an_auditor_is_not_led_to_creating_one(auditor_browser: Client) -> None:
    assert "/instances/new/" not in auditor_browser.get("/").content.decode()


def test_a_row_has_name_address_region_state_and_peers(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    make_client_peer(instance, member)
    page = admin_browser.get("/").content.decode()
    for words in (instance.name, "203.0.113.1", "This machine", "0 of 1"):
        assert words in page


def test_what_needs_someone_comes_first_and_says_why(admin_browser: Client, organization: Organization) -> None:
    make_instance(organization, name="Alpha")
    broken = make_instance(organization, name="Zeta", state=InstanceState.FAILED)
    Instance.objects.filter(pk=broken.pk).update(failure="The disk is full.")
    page = admin_browser.get("/").content.decode()
    assert page.index("Zeta") < page.index("Alpha")
    assert "1 of 2 needs attention" in page
    assert "The disk is full." in page


def test_one_that_is_being_set_up_leads_to_its_progress(admin_browser: Client, organization: Organization) -> None:
    young = make_instance(organization, state=InstanceState.PROVISIONING)
    assert f"/instances/{young.pk}/progress/" in admin_browser.get("/").content.decode()


def test_another_organizations_instances_are_not_listed(
    admin_browser: Client, other_organization: Organization
) -> None:
    make_instance(other_organization, name="Foreign")
    assert "Foreign" not in admin_browser.get("/").content.decode()


def test_a_plain_member_is_led_to_their_own_devices(member_browser: Client) -> None:
    answer = member_browser.get("/")
    assert answer.status_code == 302
    assert answer["Location"] == "/my/"


def test_more_instances_ask_no_more_queries(
    admin_browser: Client, organization: Organization, django_assert_max_num_queries: object
) -> None:
    for number in range(8):
        make_instance(organization, name=f"Hub {number}")
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        assert admin_browser.get("/").status_code == 200
