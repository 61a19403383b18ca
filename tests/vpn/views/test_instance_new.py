"""Creating an instance."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import make_instance, make_region
from vpn.models import Instance, Region

pytestmark = pytest.mark.django_db
GIVEN = {"name": "Frankfurt", "hostname": "fra", "region": "local", "pool_prefix": "20"}


@pytest.fixture(autouse=True)
def _region(db: None) -> None:
    make_region()


def test_creating_leads_to_the_progress_and_rings_for_provisioning(
    admin_browser: Client, rung: list[tuple[str, ...]], django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        answer = admin_browser.post("/instances/new/", GIVEN)
    created = Instance.objects.get(hostname="fra")
    assert answer.status_code == 302
    assert answer["Location"] == f"/instances/{created.pk}/progress/"
    assert created.network_v4.prefixlen == 20
    assert any(str(created.pk) in call for call in rung)


def test_the_pool_size_may_be_left_out(admin_browser: Client) -> None:
    given = {key: value for key, value in GIVEN.items() if key != "pool_prefix"}
    assert admin_browser.post("/instances/new/", given).status_code == 302
    assert Instance.objects.get(hostname="fra").network_v4.prefixlen == 20


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "ab"}, "Use 3 to 20 characters"),
        ({"hostname": "www"}, "is reserved"),
        ({"hostname": "Fra"}, "Use lower case"),
        ({"hostname": "-fra"}, "Begin and end with a letter or digit"),
        ({"region": "moon"}, "Choose one of the regions"),
        ({"region": ""}, "Choose where the hub runs"),
        ({"pool_prefix": "8"}, "Select a valid choice"),
        ({"pool": "10.0.0.0/8"}, "Choose a prefix length from 16 to 24"),
        ({"pool": "8.8.8.0/24"}, "Choose an IPv4 network within 10.0.0.0/8"),
        ({"pool": "10.1.0.1/20"}, "has host bits set"),
    ],
)
def test_a_refusal_stands_beside_its_field(admin_browser: Client, changed: dict[str, str], words: str) -> None:
    page = admin_browser.post("/instances/new/", {**GIVEN, **changed}).content.decode()
    assert words in page
    assert not Instance.objects.exists()


def test_a_taken_hostname_is_refused_with_the_reason(admin_browser: Client, other_organization: Organization) -> None:
    make_instance(other_organization, hostname="fra")
    page = admin_browser.post("/instances/new/", GIVEN).content.decode()
    assert "fra is taken" in page


def test_a_region_without_room_says_so(admin_browser: Client) -> None:
    Region.objects.filter(pk="local").update(available=False, unavailable_reason="The machine may not make namespaces.")
    assert "The machine may not make namespaces." in admin_browser.get("/instances/new/").content.decode()
    assert "The machine may not make namespaces." in admin_browser.post("/instances/new/", GIVEN).content.decode()


@pytest.mark.parametrize(
    ("hostname", "words"),
    [("fra", "fra.vpn.example.net is free"), ("api", "is reserved"), ("a", "Use 3 to 20"), ("", "")],
)
def test_the_hostname_is_checked_while_typed(admin_browser: Client, hostname: str, words: str) -> None:
    answer = admin_browser.get("/instances/new/hostname/", {"hostname": hostname}).content.decode()
    assert words in answer
    assert "<html" not in answer
    assert words or not answer.strip()


def test_what_is_typed_is_escaped(admin_browser: Client) -> None:
    answer = admin_browser.get("/instances/new/hostname/", {"hostname": "<b>x</b>"}).content
    assert b"<b>" not in answer


def test_only_admins_create(auditor_browser: Client, member_browser: Client) -> None:
    for browser in (auditor_browser, member_browser):
        assert browser.get("/instances/new/").status_code == 403
        assert browser.post("/instances/new/", GIVEN).status_code == 403
        assert browser.get("/instances/new/hostname/?hostname=fra").status_code == 403
    assert not Instance.objects.exists()


def test_the_pool_can_be_chosen_and_the_form_says_who_else_uses_the_usual_range(admin_browser: Client) -> None:
    page = admin_browser.get("/instances/new/").content.decode()
    for words in ("100.64.0.0/10", "carrier-grade NAT", "Tailscale"):
        assert words in page
    admin_browser.post("/instances/new/", {**GIVEN, "pool": " 10.210.0.0/22 "})
    assert Instance.objects.get(hostname="fra").pool_v4 == "10.210.0.0/22"


def test_a_pool_that_another_instance_has_is_refused_beside_the_field(
    admin_browser: Client, organization: Organization
) -> None:
    make_instance(organization, name="Berlin hub")
    page = admin_browser.post("/instances/new/", {**GIVEN, "pool": "100.64.0.0/16"}).content.decode()
    assert "100.64.0.0/16 overlaps 100.64.0.0/20, the pool of Berlin hub." in page
    assert '<details class="more" open>' in page
