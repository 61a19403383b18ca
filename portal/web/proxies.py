"""Whose forwarded headers count."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from portal.web.client_address import last_forwarded, parse_address, parse_network

_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")


def trust() -> Callable[[str], bool]:
    """Whether an address is that of a trusted proxy, by TRUSTED_PROXIES as it is now."""
    networks = [parse_network(entry) for entry in settings.TRUSTED_PROXIES]

    def is_trusted(text: str) -> bool:
        address = parse_address(text)
        return address is not None and any(
            address.version == network.version and address in network for network in networks
        )

    return is_trusted


class TrustedProxyMiddleware:
    """Takes the client's address and scheme from a proxy's headers, and only from one in TRUSTED_PROXIES.

    Both forms are understood: X-Forwarded-For and -Proto, and Forwarded (RFC 7239) where the first are not there. From
    anyone else the headers are removed, so that nothing further in can be misled by them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.is_trusted = trust()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Rewrite REMOTE_ADDR and the scheme, or drop the headers."""
        forwarded = {name: request.META.pop(name, "") for name in _HEADERS}
        sender = parse_address(request.META.get("REMOTE_ADDR", ""))
        if sender is not None:
            # A socket for both families shows IPv4 as IPv4-mapped: everything further in knows one form.
            request.META["REMOTE_ADDR"] = str(sender)
            if self.is_trusted(str(sender)):
                self._believe(request, forwarded)
        return self.get_response(request)

    def _believe(self, request: HttpRequest, forwarded: dict[str, str]) -> None:
        address, scheme = forwarded["HTTP_X_FORWARDED_FOR"], forwarded["HTTP_X_FORWARDED_PROTO"]
        if not address and not scheme:
            pairs = last_forwarded(forwarded["HTTP_FORWARDED"])
            address, scheme = pairs.get("for", ""), pairs.get("proto", "")
        # The last address is the one that the trusted proxy itself saw.
        client = parse_address(address.rsplit(",", 1)[-1])
        if client is not None:
            request.META["REMOTE_ADDR"] = str(client)
        if scheme.strip().lower() == "https":
            request.META["wsgi.url_scheme"] = "https"
