"""Forwarded headers, which only trusted proxies may set."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from portal.web.client_address import last_forwarded, parse_address, parse_network

_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")


def trust() -> Callable[[str], bool]:
    """Return a function that tells whether an address is a trusted proxy, by the current TRUSTED_PROXIES."""
    networks = [parse_network(entry) for entry in settings.TRUSTED_PROXIES]

    def is_trusted(text: str) -> bool:
        address = parse_address(text)
        return address is not None and any(
            address.version == network.version and address in network for network in networks
        )

    return is_trusted


class TrustedProxyMiddleware:
    """Takes the client's address and scheme from headers of a proxy in TRUSTED_PROXIES.

    It supports X-Forwarded-For and -Proto, or else Forwarded (RFC 7239). For other clients, the headers are removed, so
    that no later code can trust them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.is_trusted = trust()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set REMOTE_ADDR and the scheme, or remove the headers."""
        forwarded = {name: request.META.pop(name, "") for name in _HEADERS}
        sender = parse_address(request.META.get("REMOTE_ADDR", ""))
        if sender is not None:
            # A dual-stack socket shows IPv4 as IPv4-mapped addresses; later code expects plain IPv4.
            request.META["REMOTE_ADDR"] = str(sender)
            if self.is_trusted(str(sender)):
                self._believe(request, forwarded)
        return self.get_response(request)

    def _believe(self, request: HttpRequest, forwarded: dict[str, str]) -> None:
        address, scheme = forwarded["HTTP_X_FORWARDED_FOR"], forwarded["HTTP_X_FORWARDED_PROTO"]
        if not address and not scheme:
            pairs = last_forwarded(forwarded["HTTP_FORWARDED"])
            address, scheme = pairs.get("for", ""), pairs.get("proto", "")
        # The last address is the one that the trusted proxy added itself.
        client = parse_address(address.rsplit(",", 1)[-1])
        if client is not None:
            request.META["REMOTE_ADDR"] = str(client)
        if scheme.strip().lower() == "https":
            request.META["wsgi.url_scheme"] = "https"
