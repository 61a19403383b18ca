"""The scheduled job: names of hubs are published, checked, repaired and removed, and profiles follow what is known."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal.models import Membership, Organization
from portal.running.dns_url import parse_dns_url
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from tests.lab.bind import Bind
from vpn import failures
from vpn.actions.instances.instance import forget_instance
from vpn.actions.instances.server_address import move_server
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import ProfileState
from vpn.jobs.names import keep_names
from vpn.models import Instance, Peer, PublicName, Tick
from vpn.needs import Code, needs_of
from vpn.presenters.needs import notices_of
from vpn.presenters.profiles.outdated import outdated_of
from vpn.profiles.peer import carried_name
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import profile_state

pytestmark = pytest.mark.django_db

ADDRESS, ADDRESS_V6 = "203.0.113.1", "2001:db8:113::1"


@pytest.fixture
def instance(organization: Organization, publishing: Bind) -> Instance:
    """A hub with a name of its own in each test, since the zone stays."""
    return make_instance(organization, hostname=f"hub-{uuid4().hex[:8]}")


def look() -> None:
    """Run the job for all names, as if its time had come."""
    Tick.objects.all().delete()
    PublicName.objects.update(due_at=timezone.now())
    keep_names()


def fresh(instance: Instance) -> Instance:
    """The instance as another process reads it."""
    return Instance.objects.select_related("server", "observation", "public_name").get(pk=instance.pk)


def code_of(instance: Instance) -> str:
    """The code of what is wrong with the name; "" if nothing is."""
    seen = fresh(instance).name_seen
    assert seen is not None
    return seen.finding["code"] if seen.finding else ""


def test_a_hub_gets_its_name_and_profiles_carry_it_from_then_on(
    instance: Instance, member: Membership, publishing: Bind
) -> None:
    before, after = make_client_peer(instance, member, "phone"), make_client_peer(instance, member, "laptop")
    settle(instance)
    assert f"Endpoint = {ADDRESS}:" in deliver_profile(fresh_peer(before), by=BY).content
    look()
    assert publishing.answers_of(instance.full_hostname) == {ADDRESS}
    assert fresh(instance).resolving_name == instance.full_hostname
    assert f"Endpoint = {instance.full_hostname}:" in deliver_profile(fresh_peer(after), by=BY).content
    assert [profile_state(fresh_peer(peer)) for peer in (before, after)] == [ProfileState.CURRENT] * 2
    assert outdated_of(fresh(instance), delivered=2).ids == frozenset()
    assert fresh_peer(after).delivered_host == instance.full_hostname
    assert needs_of(fresh(instance)) == []


def fresh_peer(peer: Peer) -> Peer:
    """The peer as another process reads it."""
    return Peer.objects.select_related("instance__server", "instance__public_name", "member__user", "site").get(
        pk=peer.pk
    )


def test_both_families_are_published_and_a_chosen_family_gets_its_address(
    instance: Instance, member: Membership, publishing: Bind
) -> None:
    peer = make_client_peer(instance, member)
    assert instance.server is not None
    move_server(instance.server.pk, ADDRESS, ADDRESS_V6, by=BY)
    look()
    assert publishing.answers_of(instance.full_hostname, "AAAA") == {ADDRESS_V6}
    assert f"Endpoint = {instance.full_hostname}:" in render_profile(fresh_peer(peer)).content
    assert f"Endpoint = [{ADDRESS_V6}]:" in render_profile(fresh_peer(peer), family=6).content


def test_a_moved_server_is_followed_and_until_then_profiles_carry_the_address(
    instance: Instance, member: Membership, publishing: Bind
) -> None:
    peer = make_client_peer(instance, member)
    settle(instance)
    look()
    deliver_profile(fresh_peer(peer), by=BY)
    assert instance.server is not None
    move_server(instance.server.pk, "203.0.113.7", None, by=BY)
    assert "Endpoint = 203.0.113.7:" in render_profile(fresh_peer(peer)).content
    look()
    assert publishing.answers_of(instance.full_hostname) == {"203.0.113.7"}
    assert f"Endpoint = {instance.full_hostname}:" in render_profile(fresh_peer(peer)).content
    assert profile_state(fresh_peer(peer)) == ProfileState.CURRENT, "a name follows the hub"


def test_records_that_someone_changed_are_written_again_and_it_is_said(
    instance: Instance, publishing: Bind, admin_browser: Client
) -> None:
    look()
    publishing.change(instance.full_hostname, "A", "192.0.2.66")
    look()
    assert publishing.answers_of(instance.full_hostname) == {ADDRESS}
    page = admin_browser.get(f"/instances/{instance.pk}/settings/").content.decode()
    assert "Someone else changed its records" in page


def test_a_name_that_is_taken_stays_as_it_is_and_the_hub_works_with_its_address(
    organization: Organization, member: Membership, publishing: Bind
) -> None:
    instance = make_instance(organization, hostname="taken")
    peer = make_client_peer(instance, member)
    look()
    assert publishing.answers_of(instance.full_hostname) == {"192.0.2.9"}
    assert code_of(instance) == failures.NAME_TAKEN.name
    assert f"Endpoint = {ADDRESS}:" in render_profile(fresh_peer(peer)).content
    [notice] = notices_of(fresh(instance))
    assert (notice.code, notice.tone) == (Code.NAME_UNPUBLISHED, "waiting")
    assert "remove them" in notice.text
    forget_instance(instance, by=BY)
    look()
    assert publishing.answers_of(f"taken.{publishing.zone}") == {"192.0.2.9"}
    assert not PublicName.objects.exists()


def test_a_deleted_instance_leaves_no_record_even_if_the_server_was_silent_then(
    instance: Instance, publishing: Bind, settings: Settings
) -> None:
    look()
    right, name = settings.DNS_PUBLISHER, instance.full_hostname
    settings.DNS_PUBLISHER = parse_dns_url(publishing.url(key="unknown-key"), publishing.zone)
    forget_instance(instance, by=BY)
    look()
    assert publishing.answers_of(name) == {ADDRESS}
    [row] = PublicName.objects.all()
    assert row.due_at > timezone.now()
    settings.DNS_PUBLISHER = right
    look()
    assert publishing.answers_of(name) == set()
    assert publishing.answers_of(f"_vpn-portal.{name}", "TXT") == set()
    assert not PublicName.objects.exists()


def test_an_instance_of_a_former_name_takes_its_records_over(
    instance: Instance, organization: Organization, publishing: Bind
) -> None:
    look()
    forget_instance(instance, by=BY)
    again = make_instance(organization, hostname=instance.hostname)
    look()
    look()
    assert publishing.answers_of(again.full_hostname) == {ADDRESS}
    assert fresh(again).resolving_name == again.full_hostname


def test_a_wrong_key_is_a_need_that_says_what_to_do_and_is_tried_again_later_and_later(
    instance: Instance, publishing: Bind, settings: Settings
) -> None:
    settings.DNS_PUBLISHER = parse_dns_url(publishing.url(secret="d3Jvbmc="), publishing.zone)
    waits = []
    for _ in range(9):
        look()
        row = PublicName.objects.get()
        assert row.checked_at is not None
        waits.append(row.due_at - row.checked_at)
    assert waits[0] < timedelta(seconds=10) < waits[-1] <= timedelta(minutes=10)
    assert waits == sorted(waits)
    [notice] = notices_of(fresh(instance))
    assert notice.code == Code.NAME_UNPUBLISHED
    assert "correct the secret in DNS_URL" in notice.text


def test_without_a_publisher_the_page_shows_the_records_and_finds_them_when_they_are_made(
    instance: Instance, publishing: Bind, settings: Settings, admin_browser: Client
) -> None:
    settings.DNS_PUBLISHER = None
    path = f"/instances/{instance.pk}/settings/"
    look()
    page = admin_browser.get(path).content.decode()
    assert f"{instance.full_hostname} A {ADDRESS}" in page
    assert "does not resolve" in page
    assert needs_of(fresh(instance)) == []
    publishing.change(instance.full_hostname, "A", "192.0.2.1")
    look()
    assert "192.0.2.1, which is not the hub" in admin_browser.get(path).content.decode()
    publishing.change(instance.full_hostname, "A", ADDRESS)
    later = timezone.now() + timedelta(minutes=5)
    PublicName.objects.update(due_at=later)
    admin_browser.post(f"/instances/{instance.pk}/name/")
    assert PublicName.objects.get().due_at < later
    look()
    assert fresh(instance).resolving_name
    assert "New profiles carry the name" in admin_browser.get(path).content.decode()


def test_records_that_a_former_publisher_left_are_named(
    instance: Instance, publishing: Bind, settings: Settings, admin_browser: Client
) -> None:
    look()
    settings.DNS_PUBLISHER = None
    page = admin_browser.get(f"/instances/{instance.pk}/settings/").content.decode()
    assert "while DNS_URL was set" in page
    forget_instance(instance, by=BY)
    look()
    row = PublicName.objects.get()
    assert row.finding is not None
    assert row.finding["code"] == failures.NAME_LEFT.name


def test_another_vpn_domain_takes_the_former_name_out_of_the_zone(
    instance: Instance, publishing: Bind, settings: Settings
) -> None:
    look()
    former = instance.full_hostname
    settings.VPN_DOMAIN = f"hubs.{publishing.zone}"
    for _ in range(3):
        look()
    assert publishing.answers_of(former) == set()
    assert publishing.answers_of(instance.full_hostname) == {ADDRESS}
    assert [row.name for row in PublicName.objects.all()] == [instance.full_hostname]


def test_names_below_the_default_domain_are_not_looked_up(instance: Instance, settings: Settings) -> None:
    settings.DNS_PUBLISHER, settings.VPN_DOMAIN = None, "vpn.example.net"
    look()
    assert not PublicName.objects.exists()


def test_a_resolver_that_does_not_answer_says_nothing_about_the_name(
    instance: Instance, publishing: Bind, settings: Settings
) -> None:
    look()
    settings.DNS_RESOLVER = ("127.0.0.1", 1)
    look()
    assert code_of(instance) == failures.NAME_RESOLVER_SILENT.name
    assert fresh(instance).resolving_name == instance.full_hostname


@pytest.mark.parametrize(
    ("platform", "version", "protocol", "named"),
    [
        ("openwrt", "", "wireguard", True),
        ("vyos", "VyOS 1.4.0", "wireguard", False),
        ("vyos", "VyOS 1.5.0", "wireguard", True),
        ("vyos", "VyOS 1.4.0", "openvpn", True),
        ("routeros6", "", "openvpn", False),
        ("routeros7", "", "openvpn", True),
        ("pfsense", "", "openvpn", True),
    ],
)
def test_a_router_that_needs_an_address_gets_one(
    instance: Instance, organization: Organization, platform: str, version: str, protocol: str, named: bool
) -> None:
    site = make_site(organization)
    peer = make_site_peer(instance, site)
    site.platform, site.platform_version = platform, version
    site.save()
    Peer.objects.filter(pk=peer.pk).update(protocol=protocol)
    look()
    assert carried_name(fresh_peer(peer)) == (instance.full_hostname if named else "")
