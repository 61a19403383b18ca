"""Names are published by libcloud's driver for Route 53, whose API moto plays."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from portal.running.dns_url import ProviderDns, parse_dns_url
from tests.lab.route53 import Route53
from vpn import failures
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.cloud import ProviderRecords
from vpn.wire.finding import Code

NAME = "fra.vpn.acme.test"
MARK = f"_vpn-portal.{NAME}"
ADDRESSES = ("203.0.113.1", "2001:db8:113::1")
OWNER = uuid4()


@pytest.fixture
def provider() -> Iterator[Route53]:
    """The API, with an empty zone."""
    with Route53() as server:
        yield server


def publisher(server: Route53) -> ProviderRecords:
    """The publisher that a DNS_URL for this server means."""
    options = parse_dns_url(server.url, server.zone)
    assert isinstance(options, ProviderDns)
    return ProviderRecords(options)


def publish(server: Route53, *addresses: str) -> bool:
    """Publish the name."""
    return publisher(server).publish(NAME, OWNER, addresses, Patience.of(60))


@pytest.fixture(autouse=True)
def _old_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the list of records were always too old to be used again."""
    monkeypatch.setattr("vpn.publishers.provider_zone._LISTED_SECONDS", 0.0)


def test_a_name_is_published_repaired_moved_and_withdrawn(provider: Route53) -> None:
    assert publish(provider, *ADDRESSES)
    mark = {(MARK, "TXT"): (60, [f'"owner={OWNER}"'])}
    both = {(NAME, "A"): (60, [ADDRESSES[0]]), (NAME, "AAAA"): (60, [ADDRESSES[1]])}
    assert provider.records() == mark | both
    assert not publish(provider, *ADDRESSES)
    provider.change(NAME, "A", "192.0.2.66")
    assert publish(provider, *ADDRESSES)
    assert provider.records() == mark | both
    assert publish(provider, "203.0.113.7")
    assert provider.records() == mark | {(NAME, "A"): (60, ["203.0.113.7"])}
    publisher(provider).withdraw(NAME, OWNER, Patience.of(60))
    assert provider.records() == {}


def test_values_that_someone_added_stay_and_are_named(provider: Route53) -> None:
    publish(provider, *ADDRESSES)
    provider.change(NAME, "A", "192.0.2.66", "192.0.2.67")
    with pytest.raises(NotPublished) as raised:
        publish(provider, *ADDRESSES)
    assert raised.value.finding == failures.NAME_TAKEN.of(NAME)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "Throttling", failures.NAME_PROVIDER_BUSY),
        (403, "InvalidClientTokenId", failures.NAME_CREDENTIALS_WRONG),
        (403, "AccessDenied", failures.NAME_CREDENTIALS_WRONG),
        (400, "LimitsExceeded", failures.NAME_PROVIDER_REFUSED),
    ],
)
def test_what_the_provider_refuses_is_told_apart(provider: Route53, status: int, code: str, expected: Code) -> None:
    provider.refusal = status, code
    with pytest.raises(NotPublished) as raised:
        publish(provider, *ADDRESSES)
    assert Code(raised.value.finding.component, raised.value.finding.code) == expected
