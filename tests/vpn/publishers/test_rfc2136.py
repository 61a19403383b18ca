"""Names are published in a real BIND by signed updates, and nothing in the zone that is not the portal's is touched."""

from __future__ import annotations

import base64
import secrets
import subprocess
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from uuid import uuid4

import pytest

from portal.running.dns_url import DynamicDns, parse_dns_url
from tests.lab.bind import Bind
from tests.lab.waiting import wait_until
from vpn import failures
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.rfc2136 import DynamicUpdates
from vpn.wire.finding import Code

NAME = "fra.vpn.acme.test"
ADDRESSES = ("203.0.113.1", "2001:db8:113::1")
OWNER = uuid4()


@pytest.fixture
def bind(running: Bind) -> Iterator[Bind]:
    """The BIND, without the records of the test at its end."""
    yield running
    for name, kind in ((NAME, "A"), (NAME, "AAAA"), (f"_vpn-portal.{NAME}", "TXT")):
        running.change(name, kind)


def publisher(bind: Bind, **wrong: str) -> DynamicUpdates:
    """The publisher that a DNS_URL for this server means."""
    options = parse_dns_url(bind.url(**wrong), wrong.get("zone", bind.zone))
    assert isinstance(options, DynamicDns)
    return DynamicUpdates(options)


def patience() -> Patience:
    """As long as a busy machine needs."""
    return Patience.of(60)


def publish(bind: Bind, *addresses: str) -> bool:
    """Publish the name."""
    return publisher(bind).publish(NAME, OWNER, addresses, patience())


def refusal(publisher: DynamicUpdates, name: str = NAME) -> Code:
    """The code with which the publisher refuses a name."""
    with pytest.raises(NotPublished) as raised:
        publisher.publish(name, OWNER, ADDRESSES, patience())
    return Code(raised.value.finding.component, raised.value.finding.code)


def test_a_name_gets_its_addresses_and_a_second_look_changes_nothing(bind: Bind) -> None:
    assert publish(bind, *ADDRESSES)
    assert (bind.answers_of(NAME, "A"), bind.answers_of(NAME, "AAAA")) == ({ADDRESSES[0]}, {ADDRESSES[1]})
    assert bind.answers_of(f"_vpn-portal.{NAME}", "TXT") == {f'"owner={OWNER}"'}
    assert not publish(bind, *ADDRESSES)


def test_another_address_takes_the_place_of_the_former_ones(bind: Bind) -> None:
    publish(bind, *ADDRESSES)
    assert publish(bind, "203.0.113.7")
    assert (bind.answers_of(NAME, "A"), bind.answers_of(NAME, "AAAA")) == ({"203.0.113.7"}, set())


def test_records_that_someone_changed_are_written_again(bind: Bind) -> None:
    publish(bind, *ADDRESSES)
    bind.change(NAME, "A", "192.0.2.66", "192.0.2.67")
    assert publish(bind, *ADDRESSES)
    assert bind.answers_of(NAME) == {ADDRESSES[0]}
    bind.change(NAME, "AAAA")
    assert publish(bind, *ADDRESSES)
    assert bind.answers_of(NAME, "AAAA") == {ADDRESSES[1]}


def test_a_withdrawn_name_leaves_nothing_and_other_records_of_the_name_stay(bind: Bind) -> None:
    publish(bind, *ADDRESSES)
    bind.change(NAME, "CAA", '0 issue "ca.example"')
    publisher(bind).withdraw(NAME, OWNER, patience())
    assert (
        not bind.answers_of(NAME, "A") | bind.answers_of(NAME, "AAAA") | bind.answers_of(f"_vpn-portal.{NAME}", "TXT")
    )
    assert bind.answers_of(NAME, "CAA")
    bind.change(NAME, "CAA")
    publisher(bind).withdraw(NAME, OWNER, patience())


def test_a_name_that_is_not_the_portals_is_never_changed(bind: Bind) -> None:
    taken = f"taken.{bind.zone}"
    assert refusal(publisher(bind), taken) == failures.NAME_TAKEN
    publisher(bind).withdraw(taken, OWNER, patience())
    assert bind.answers_of(taken) == {"192.0.2.9"}
    publisher(bind).publish(NAME, uuid4(), ["203.0.113.200"], patience())
    assert refusal(publisher(bind)) == failures.NAME_TAKEN
    publisher(bind).withdraw(NAME, OWNER, patience())
    assert bind.answers_of(NAME) == {"203.0.113.200"}


def test_a_name_outside_of_the_zone_is_refused_without_a_query(bind: Bind) -> None:
    assert refusal(publisher(bind), "fra.vpn.other.test") == failures.NAME_ZONE_MISSING


def test_what_is_wrong_with_the_key_is_told_apart(bind: Bind) -> None:
    other = base64.b64encode(b"another secret").decode()
    assert refusal(publisher(bind, secret=other)) == failures.NAME_KEY_WRONG
    assert refusal(publisher(bind, key="unknown-key")) == failures.NAME_KEY_UNKNOWN
    assert refusal(publisher(bind, key="reader")) == failures.NAME_UPDATE_REFUSED


def test_a_missing_zone_and_a_silent_server_are_told_apart(bind: Bind) -> None:
    assert refusal(publisher(bind, zone="vpn.other.test"), "fra.vpn.other.test") == failures.NAME_ZONE_MISSING
    bind.stop()
    try:
        assert refusal(publisher(bind)) == failures.NAME_SERVER_SILENT
    finally:
        bind.start()


@pytest.mark.network
def test_another_server_of_the_zone_that_lags_behind_is_named() -> None:
    address = str(ip_network("127.77.0.0/16")[1 + secrets.randbelow(65_000)])
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--no-resolv", "--no-hosts"]
    argv += [f"--listen-address={address}", "--bind-interfaces", f"--host-record={NAME},192.0.2.1", "--user=root"]
    with Bind(records=f"@ NS second\nsecond A {address}") as first:
        publish(first, "192.0.2.2")
        second = subprocess.Popen(argv)
        try:
            lags = partial(publisher(first).lagging, NAME)
            wait_until(lambda: lags(["192.0.2.2"], patience()) == f"second.{first.zone}", 30, "the second server")
            assert lags(["192.0.2.1"], patience()) == ""
        finally:
            second.terminate()
            second.wait(30)
        assert lags(["192.0.2.2"], patience()) == ""
