"""Whose forwarded headers count."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


class TrustedProxyMiddleware:
    """Takes the client's address and scheme from a proxy's headers, and only from one in TRUSTED_PROXIES.

    From anyone else the headers are removed, so that nothing further in can be misled by them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.trusted = [ipaddress.ip_network(entry, strict=False) for entry in settings.TRUSTED_PROXIES]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Rewrite REMOTE_ADDR and the scheme, or drop the headers."""
        forwarded_for = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        forwarded_proto = request.META.pop("HTTP_X_FORWARDED_PROTO", "")
        request.META.pop("HTTP_X_FORWARDED_HOST", None)
        if self._is_trusted(request.META.get("REMOTE_ADDR", "")):
            # The last address is the one that the trusted proxy itself saw.
            address = forwarded_for.rsplit(",", 1)[-1].strip()
            if _is_address(address):
                request.META["REMOTE_ADDR"] = address
            if forwarded_proto.strip().lower() == "https":
                request.META["wsgi.url_scheme"] = "https"
        return self.get_response(request)

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self.trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
