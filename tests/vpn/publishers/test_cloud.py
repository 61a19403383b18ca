"""Names are published at a provider by libcloud's own driver: here in a real PowerDNS, through its HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pytest_django import Settings

from portal.models import Organization
from portal.running.dns_url import ProviderDns, parse_dns_url
from tests.factories import make_instance
from tests.lab.powerdns import PowerDns
from vpn import failures
from vpn.jobs.names import keep_names
from vpn.models import Instance, PublicName, Tick
from vpn.presenters.findings import sentence_of
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.cloud import ProviderRecords
from vpn.wire.finding import Code

NAME = "fra.vpn.acme.test"
MARK = f"_vpn-portal.{NAME}"
ADDRESSES = ("203.0.113.1", "2001:db8:113::1")
OWNER = uuid4()


@pytest.fixture(scope="module")
def running() -> Iterator[PowerDns]:
    """A PowerDNS for the whole file."""
    with PowerDns() as server:
        yield server


@pytest.fixture
def provider(running: PowerDns) -> Iterator[PowerDns]:
    """The PowerDNS, without the records of the test at its end."""
    yield running
    for name, kind in ((NAME, "A"), (NAME, "AAAA"), (MARK, "TXT")):
        running.change(name, kind)


def publisher(server: PowerDns, **wrong: str) -> ProviderRecords:
    """The publisher that a DNS_URL for this server means."""
    options = parse_dns_url(server.url(**wrong), wrong.get("zone", server.zone))
    assert isinstance(options, ProviderDns)
    return ProviderRecords(options)


def patience() -> Patience:
    """As long as a busy machine needs."""
    return Patience.of(60)


def publish(server: PowerDns, *addresses: str) -> bool:
    """Publish the name."""
    return publisher(server).publish(NAME, OWNER, addresses, patience())


def refusal(publisher: ProviderRecords, name: str = NAME) -> Code:
    """The code with which the publisher refuses a name; it has words."""
    with pytest.raises(NotPublished) as raised:
        publisher.publish(name, OWNER, ADDRESSES, patience())
    assert sentence_of(raised.value.finding).endswith(".")
    return Code(raised.value.finding.component, raised.value.finding.code)


def test_a_name_gets_its_addresses_and_a_second_look_changes_nothing(provider: PowerDns) -> None:
    assert publish(provider, *ADDRESSES)
    assert (provider.answers_of(NAME, "A"), provider.answers_of(NAME, "AAAA")) == ({ADDRESSES[0]}, {ADDRESSES[1]})
    assert provider.answers_of(MARK, "TXT") == {f'"owner={OWNER}"'}
    assert provider.lifetime_of(NAME) == 60
    assert not publish(provider, *ADDRESSES)


def test_another_address_takes_the_place_of_the_former_ones(provider: PowerDns) -> None:
    publish(provider, *ADDRESSES)
    assert publish(provider, "203.0.113.7")
    assert (provider.answers_of(NAME, "A"), provider.answers_of(NAME, "AAAA")) == ({"203.0.113.7"}, set())


def test_records_that_someone_changed_are_written_again(provider: PowerDns, forgotten_list: None) -> None:
    publish(provider, *ADDRESSES)
    assert not publish(provider, *ADDRESSES)
    provider.change(NAME, "A", "192.0.2.66", "192.0.2.67")
    assert publish(provider, *ADDRESSES)
    assert provider.answers_of(NAME) == {ADDRESSES[0]}
    provider.change(NAME, "AAAA")
    assert publish(provider, *ADDRESSES)
    assert provider.answers_of(NAME, "AAAA") == {ADDRESSES[1]}


@pytest.fixture
def forgotten_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the list of records were always too old to be used again."""
    monkeypatch.setattr("vpn.publishers.provider_zone._LISTED_SECONDS", 0.0)


def test_names_that_are_looked_at_together_share_one_list(provider: PowerDns, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(provider, *ADDRESSES)
    publish(provider, *ADDRESSES)
    monkeypatch.setattr("vpn.publishers.provider_zone._LISTED_SECONDS", 600.0)
    provider.stop()
    try:
        assert not publish(provider, *ADDRESSES), "no question was asked"
    finally:
        provider.start()


def test_a_withdrawn_name_leaves_nothing_and_other_records_of_the_name_stay(provider: PowerDns) -> None:
    publish(provider, *ADDRESSES)
    provider.change(NAME, "CAA", '0 issue "ca.example"')
    publisher(provider).withdraw(NAME, OWNER, patience())
    assert not provider.answers_of(NAME, "A") | provider.answers_of(NAME, "AAAA") | provider.answers_of(MARK, "TXT")
    assert provider.answers_of(NAME, "CAA")
    provider.change(NAME, "CAA")
    publisher(provider).withdraw(NAME, OWNER, patience())


def test_a_name_that_is_not_the_portals_is_never_changed(provider: PowerDns) -> None:
    provider.change(NAME, "A", "192.0.2.9")
    assert refusal(publisher(provider)) == failures.NAME_TAKEN
    publisher(provider).withdraw(NAME, OWNER, patience())
    assert provider.answers_of(NAME) == {"192.0.2.9"}
    provider.change(NAME, "A")
    publisher(provider).publish(NAME, uuid4(), ["203.0.113.200"], patience())
    assert refusal(publisher(provider)) == failures.NAME_TAKEN
    publisher(provider).withdraw(NAME, OWNER, patience())
    assert provider.answers_of(NAME) == {"203.0.113.200"}


def test_wrong_credentials_a_missing_zone_and_a_silent_provider_are_told_apart(provider: PowerDns) -> None:
    assert refusal(publisher(provider, key="wrong")) == failures.NAME_CREDENTIALS_WRONG
    assert refusal(publisher(provider, zone="vpn.other.test"), "fra.vpn.other.test") == failures.NAME_ZONE_MISSING
    assert refusal(publisher(provider), "fra.vpn.other.test") == failures.NAME_ZONE_MISSING
    provider.stop()
    try:
        assert refusal(publisher(provider)) == failures.NAME_PROVIDER_SILENT
    finally:
        provider.start()


def test_the_credentials_are_in_no_error(provider: PowerDns, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotPublished) as raised:
        publisher(provider, key="secret-key").publish(NAME, OWNER, ADDRESSES, patience())
    assert "secret-key" not in f"{raised.value!r} {raised.value.finding} {caplog.text}"
    assert raised.value.__suppress_context__


def test_the_servers_of_the_zone_are_found_by_the_resolver(provider: PowerDns, settings: Settings) -> None:
    settings.DNS_RESOLVER = (provider.address, provider.port)
    publish(provider, *ADDRESSES)
    assert publisher(provider).lagging(NAME, ADDRESSES, patience()) == ""


@pytest.mark.django_db
def test_the_scheduled_job_publishes_a_hubs_name_and_removes_it_with_the_hub(
    organization: Organization, provider: PowerDns, settings: Settings
) -> None:
    settings.VPN_DOMAIN, settings.DNS_PUBLISHER = provider.zone, parse_dns_url(provider.url(), provider.zone)
    settings.DNS_RESOLVER = (provider.address, provider.port)
    instance = make_instance(organization, hostname="fra")
    keep_names()
    assert provider.answers_of(NAME) == {"203.0.113.1"}
    assert Instance.objects.get(pk=instance.pk).resolving_name == NAME
    PublicName.objects.leave(instance)
    instance.delete()
    Tick.objects.all().delete()
    keep_names()
    assert not provider.answers_of(NAME)
    assert not PublicName.objects.exists()
