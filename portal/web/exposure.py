"""Checks for unencrypted connections over a network: errors in `check --deploy`, warnings at every start."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error

from portal.running.dns_url import ProviderDns

# `ssl_cert_reqs` of redis-py: with these the server's certificate is not verified.
_UNPROVEN = {"none", "optional", "0", "1"}


def deploy_errors(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return the errors for Django's system check, run by `manage.py check --deploy`."""
    found = [
        Error(fault, hint=hint, id=f"portal.E00{number}")
        for number, (fault, hint) in enumerate(
            (redis_fault(settings.REDIS_URL), url_fault(settings.PUBLIC_URL), dns_fault(settings.DNS_PUBLISHER)), 1
        )
        if fault
    ]
    return list(found)


def exposures() -> list[str]:
    """Return the same as sentences, none of which contains a password."""
    return [f"{error.msg} {error.hint}" for error in deploy_errors()]


def redis_fault(url: str) -> tuple[str, str]:
    """Return a shared Redis's fault and what to do; both "" for a Unix socket, loopback, or TLS with a password."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or is_loopback(parts.hostname or "localhost"):
        return "", ""
    query = parse_qs(parts.query)
    lacks = []
    if parts.scheme != "rediss":
        lacks.append("has no TLS")
    elif _UNPROVEN.intersection(query.get("ssl_cert_reqs", [])) or query.get("ssl_check_hostname") == ["false"]:
        lacks.append("does not check the server's certificate")
    if not (parts.password or query.get("password")):
        lacks.append("has no password")
    if not lacks:
        return "", ""
    clear = f"REDIS_URL leads to {parts.hostname} and {' and '.join(lacks)}: others on the network can read or use it."
    return clear, "Use rediss://USER:PASSWORD@HOST:PORT, or leave REDIS_URL out for a private Redis on this machine."


def url_fault(url: str) -> tuple[str, str]:
    """Return PUBLIC_URL's fault and what to do; both "" for HTTPS or a loopback address."""
    parts = urlsplit(url)
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return "", ""
    return (
        f"PUBLIC_URL is {url}, plain http: passwords, profiles and cookies can be read on the way.",
        "Put a proxy with a certificate in front of the portal, and set PUBLIC_URL to its https address.",
    )


def dns_fault(publisher: object) -> tuple[str, str]:
    """Return the fault of a DNS provider's API and what to do; both "" for HTTPS or a loopback address."""
    if not isinstance(publisher, ProviderDns) or publisher.secure or is_loopback(publisher.host):
        return "", ""
    return (
        f"DNS_URL leads to {publisher.server} over plain http: its credentials can be read on the way.",
        "Put a proxy with a certificate in front of the API, and leave out the option secure.",
    )


def is_loopback(host: str) -> bool:
    """Return True if this is a loopback address or name (RFC 6761, 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
