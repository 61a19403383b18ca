"""What DNS_URL and DNS_RESOLVER say, and that a wrong one is refused at start without showing the secret."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.running.dns_url import DynamicDns, ProviderDns, parse_dns_resolver, parse_dns_url
from portal.running.options import CLONE

SECRET = "c2VjcmV0/+cmV0c2VjcmV0cm"
DOMAIN = "vpn.acme.test"


def parsed(url: str) -> DynamicDns:
    """A DNS_URL that is accepted."""
    found = parse_dns_url(url, DOMAIN)
    assert isinstance(found, DynamicDns)
    return found


def provider(url: str) -> ProviderDns:
    """A DNS_URL of a provider that is accepted."""
    found = parse_dns_url(url, DOMAIN)
    assert isinstance(found, ProviderDns)
    return found


def test_all_parts_are_read_and_most_have_defaults() -> None:
    found = parsed(f"rfc2136://portal-key:{SECRET}@[2001:DB8::53]:5353/acme.test?algorithm=hmac-sha512")
    assert (found.host, found.port, found.zone, found.algorithm) == ("2001:db8::53", 5353, "acme.test", "hmac-sha512")
    found = parsed(f"rfc2136://portal-key:{SECRET}@ns.acme.test/{DOMAIN}.")
    assert (found.host, found.port, found.zone, found.algorithm) == ("ns.acme.test", 53, DOMAIN, "hmac-sha256")
    assert parsed(f"rfc2136://k:{SECRET.replace('/', '%2F')}@192.0.2.1/{DOMAIN}").secret == found.secret
    assert SECRET not in repr(found)
    assert repr(found.secret) not in repr(found)


def test_a_provider_has_credentials_and_what_else_is_not_its_own() -> None:
    found = provider(f"libcloud+route53://AKIA:{SECRET}@/acme.test")
    assert found == ProviderDns("route53", ("AKIA", SECRET), "", 0, "acme.test", secure=True, lifetime=60)
    assert provider(f"libcloud+route53://AKIA:{SECRET.replace('/', '%2F')}@/acme.test") == found
    assert found.server == "route53"
    assert SECRET not in repr(found)
    found = provider(f"libcloud+powerdns://{SECRET}@[2001:DB8::53]:8081/{DOMAIN}?secure=false&ttl=300")
    assert (found.host, found.port, found.secure, found.lifetime) == ("2001:db8::53", 8081, False, 300)
    assert found.server == "powerdns@[2001:db8::53]:8081"


def test_without_a_url_nothing_is_published() -> None:
    assert parse_dns_url("", DOMAIN) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (f"https://k:{SECRET}@ns/{DOMAIN}", "must have the form rfc2136://"),
        (f"rfc2136://ns.acme.test/{DOMAIN}", "name and the secret"),
        (f"rfc2136://k:{SECRET}@ns.acme.test", "must name the zone"),
        (f"rfc2136://k:{SECRET}@ns.acme.test/other.test", "VPN_DOMAIN is vpn.acme.test, which is not in the zone"),
        (f"rfc2136://k:{SECRET}@ns.acme.test/pn.acme.test", "not in the zone"),
        (f"rfc2136://k:{SECRET}@ns.acme.test:70000/{DOMAIN}", "port"),
        (f"rfc2136://k:{SECRET}@/{DOMAIN}", "must name a host"),
        (f"rfc2136://k:{SECRET}@ns.acme.test/{DOMAIN}?algorithm=hmac-md5", "hmac-sha256"),
        (f"rfc2136://k:{SECRET}@ns.acme.test/{DOMAIN}?algoritm=hmac-sha256", "algoritm"),
        (f"libcloud+moondns://k:{SECRET}@/{DOMAIN}", "one of cloudflare, digitalocean"),
        (f"libcloud+route53://{SECRET}@/{DOMAIN}", "needs KEY:SECRET of route53"),
        (f"libcloud+digitalocean://k:{SECRET}@/{DOMAIN}", "needs TOKEN of digitalocean"),
        (f"libcloud+cloudflare:///{DOMAIN}", "needs TOKEN or KEY:SECRET"),
        (f"libcloud+cloudflare://{SECRET}@", "must name the zone"),
        (f"libcloud+cloudflare://{SECRET}@/other.test", "not in the zone"),
        (f"libcloud+powerdns://{SECRET}@ns:0/{DOMAIN}", "port"),
        (f"libcloud+cloudflare://{SECRET}@/{DOMAIN}?ttl=5", "from 30 to 3600"),
        (f"libcloud+cloudflare://{SECRET}@/{DOMAIN}?secure=no", "true, or false"),
        (f"libcloud+cloudflare://{SECRET}@/{DOMAIN}?proxied=true", "proxied"),
        (f"rfc2136://k:not base64 c2VjcmV0@ns.acme.test/{DOMAIN}", "base64"),
    ],
)
def test_a_wrong_url_is_refused_with_its_fault_and_without_its_secret(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"DNS_URL|VPN_DOMAIN") as refusal:
        parse_dns_url(url, DOMAIN)
    assert fault in str(refusal.value)
    assert "c2VjcmV0" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "resolver"),
    [
        ("", None),
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_the_resolver_is_an_address_with_an_optional_port(text: str, resolver: tuple[str, int] | None) -> None:
    assert parse_dns_resolver(text) == resolver


@pytest.mark.parametrize("text", ["resolver.acme.test", "192.0.2.53:0", "192.0.2.53:dns", "192.0.2.53:53:53"])
def test_another_resolver_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="DNS_RESOLVER must be an address"):
        parse_dns_resolver(text)


def test_the_settings_refuse_a_wrong_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SECRET_KEYS", "only-for-tests" * 4)
    monkeypatch.setenv("VPN_DOMAIN", "vpn.other.test")
    monkeypatch.setenv("DNS_URL", f"rfc2136://k:{SECRET}@ns.acme.test/{DOMAIN}")
    with pytest.raises(ImproperlyConfigured, match=r"VPN_DOMAIN is vpn\.other\.test"):
        runpy.run_path(str(CLONE / "portal" / "settings.py"))
