"""Another HUB_ADDRESS: an operation that says so, a need with who is cut off, and mail to these people."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_region, settle
from vpn.actions.profiles.profile import deliver_profile
from vpn.desired import compile_change
from vpn.drivers.base import Found
from vpn.jobs import apply
from vpn.jobs.mail import mail_plan
from vpn.models import ChangePlan, Instance, ListenerProof, Server
from vpn.needs import Code, needs_of
from vpn.presenters.needs import notices_of
from vpn.proofs import record_knock

pytestmark = pytest.mark.django_db

OLD, NEW = "203.0.113.1", "198.51.100.7"


@pytest.fixture
def instance(organization: Organization, member: Membership) -> Instance:
    """A hub with a device that has its profile, and one that has not."""
    make_region()
    Server.objects.update(address=OLD)
    made = make_instance(organization)
    peer = make_client_peer(made, member, "phone")
    make_client_peer(made, member, "tablet")
    settle(made)
    deliver_profile(peer, by=BY)
    ListenerProof.objects.create(instance=made, listener="wireguard", state="proven")
    return made


def prepare(settings: Settings, *addresses: str) -> None:
    """The portal starts with this HUB_ADDRESS."""
    settings.HUB_ADDRESSES, settings.HUBS_AVAILABLE = addresses, True
    call_command("prepare")


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.management.commands.prepare._collect_static", lambda: None)


def test_the_same_address_means_nothing(instance: Instance, settings: Settings) -> None:
    before = Instance.objects.get(pk=instance.pk).desired_generation
    prepare(settings, OLD)
    assert Instance.objects.get(pk=instance.pk).desired_generation == before
    assert not ChangePlan.objects.exists()
    assert ListenerProof.objects.exists()


def test_another_address_is_an_operation_with_a_meaning(
    instance: Instance, settings: Settings, admin_browser: Client
) -> None:
    prepare(settings, NEW)
    instance.refresh_from_db()
    assert not instance.is_up_to_date
    (proof,) = ListenerProof.objects.all()
    assert (proof.state, proof.cause) == ("unproven", "waiting"), "the former address says nothing of this one"
    operation = apply._operation(instance.pk, compile_change(instance.pk))
    assert operation.summary == f"The hub's address changed from {OLD} to {NEW}"
    page = admin_browser.get(f"/instances/{instance.pk}/activity/").content.decode()
    assert f"address changed from {OLD} to {NEW}" in page
    assert "1 of 1 delivered profile becomes outdated" in page
    assert "no longer connects" in page


def test_who_is_cut_off_is_named_and_can_be_mailed(
    instance: Instance, member: Membership, settings: Settings, admin_browser: Client
) -> None:
    prepare(settings, NEW)
    instance.refresh_from_db()
    need = next(need for need in notices_of(instance) if need.code == Code.ADDRESS_CHANGED)
    assert f"{member.label} / phone" in need.message
    assert "tablet" not in need.message
    plan = ChangePlan.objects.get()
    page = admin_browser.get(f"/instances/{instance.pk}/").content.decode()
    assert f'href="/plans/{plan.pk}/mail/">Mail these people' in page
    admin_browser.post(f"/plans/{plan.pk}/mail/")
    mail_plan(str(plan.pk))
    assert [message.to for message in mail.outbox] == [[member.user.email]]
    assert "another address" in mail.outbox[0].body
    assert "as before" not in mail.outbox[0].body


def test_a_profile_fetched_anew_ends_it(instance: Instance, settings: Settings) -> None:
    prepare(settings, NEW)
    settle(instance)
    for peer in instance.peers.all():
        deliver_profile(peer, by=BY)
    instance.refresh_from_db()
    assert [need.code for need in needs_of(instance)] == [Code.HUB_UNPROVEN], "not knocked on at the new address yet"
    record_knock(instance.pk, {NEW: {"wireguard": Found("proven")}})
    assert needs_of(instance) == []
