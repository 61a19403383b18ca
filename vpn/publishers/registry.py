"""The publisher that the settings name."""

from __future__ import annotations

from django.conf import settings

from vpn.publishers.base import Publisher
from vpn.publishers.rfc2136 import DynamicUpdates


def publisher() -> Publisher | None:
    """The publisher of DNS_URL; None if there is none, and records are made by hand."""
    return None if settings.DNS_PUBLISHER is None else DynamicUpdates(settings.DNS_PUBLISHER)
