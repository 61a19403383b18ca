"""Whose forwarded headers count, and what addresses look like in them."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from portal.web.client_address import counted_as
from portal.web.proxies import TrustedProxyMiddleware

PROXIES = ["10.0.0.1", "2001:db8:ffff::/48"]


@pytest.fixture(autouse=True)
def _trusted(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = PROXIES


def seen(sender: str, **headers: str) -> tuple[str, str]:
    """The client's address and scheme as the portal sees them."""
    request = RequestFactory().get("/")
    request.META |= {"REMOTE_ADDR": sender, **headers}
    found: list[tuple[str, str]] = []

    def answer(request: HttpRequest) -> HttpResponse:
        found.append((request.META["REMOTE_ADDR"], request.scheme or ""))
        assert not [name for name in request.META if "FORWARDED" in name], "nothing further in sees the headers"
        return HttpResponse()

    TrustedProxyMiddleware(answer)(request)
    return found[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:1234", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("192.0.2.99, 203.0.113.7:1234", "203.0.113.7"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.7:port", "10.0.0.1"),
        ("203.0.113.7\n192.0.2.1", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_an_address_is_understood_with_and_without_its_port(written: str, meant: str) -> None:
    assert seen("10.0.0.1", HTTP_X_FORWARDED_FOR=written)[0] == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("for=203.0.113.7;proto=https;by=10.0.0.1", ("203.0.113.7", "https")),
        ('for="203.0.113.7:1234"; proto=https', ("203.0.113.7", "https")),
        ('for="[2001:db8::1]"', ("2001:db8::1", "http")),
        ('For="[2001:db8::1]:443";Proto=HTTPS', ("2001:db8::1", "https")),
        ('for=192.0.2.99, for="[2001:db8::2]:8080";proto=https', ("2001:db8::2", "https")),
        ('for="192.0.2.99, for=198.51.100.1", for=203.0.113.7', ("203.0.113.7", "http")),
        ("for=_hidden", ("10.0.0.1", "http")),
        ("for=unknown;proto=https", ("10.0.0.1", "https")),
        ('for="203.0.113.7', ("10.0.0.1", "http")),
    ],
)
def test_the_standard_header_is_understood(written: str, meant: tuple[str, str]) -> None:
    assert seen("10.0.0.1", HTTP_FORWARDED=written) == meant


def test_what_a_client_wrote_into_the_other_header_does_not_count() -> None:
    """A proxy that sets X-Forwarded-For hands a client's Forwarded on as it is."""
    assert seen("10.0.0.1", HTTP_X_FORWARDED_FOR="203.0.113.7", HTTP_FORWARDED="for=192.0.2.1;proto=https") == (
        "203.0.113.7",
        "http",
    )


@pytest.mark.parametrize("sender", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8:ffff::5"])
def test_a_trusted_proxy_is_known_in_every_form_of_its_address(sender: str) -> None:
    assert seen(sender, HTTP_X_FORWARDED_FOR="203.0.113.7", HTTP_X_FORWARDED_PROTO="https") == ("203.0.113.7", "https")


def test_a_proxy_may_be_configured_as_ipv4_mapped(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ["::ffff:10.9.0.0/112"]
    assert seen("10.9.0.3", HTTP_X_FORWARDED_FOR="203.0.113.7")[0] == "203.0.113.7"
    assert seen("10.8.0.3", HTTP_X_FORWARDED_FOR="203.0.113.7")[0] == "10.8.0.3"


@pytest.mark.parametrize(
    ("sender", "shown"), [("198.51.100.9", "198.51.100.9"), ("::ffff:198.51.100.9", "198.51.100.9")]
)
def test_nobody_else_is_believed(sender: str, shown: str) -> None:
    headers = {"HTTP_X_FORWARDED_FOR": "203.0.113.7", "HTTP_FORWARDED": "for=203.0.113.7;proto=https"}
    assert seen(sender, **headers, HTTP_X_FORWARDED_PROTO="https") == (shown, "http")


def test_limits_count_a_whole_ipv6_network_and_each_ipv4_address() -> None:
    assert counted_as("2001:db8:1:2:aaaa::1") == counted_as("2001:db8:1:2:bbbb::2")
    assert counted_as("2001:db8:1:2::1") != counted_as("2001:db8:1:3::1")
    assert counted_as("::ffff:192.0.2.1") == counted_as("192.0.2.1") != counted_as("::ffff:192.0.2.2")
