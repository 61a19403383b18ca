"""The publisher that the settings name."""

from __future__ import annotations

from django.conf import settings

from portal.running.dns_url import ProviderDns
from vpn.publishers.base import Publisher
from vpn.publishers.cloud import ProviderRecords
from vpn.publishers.rfc2136 import DynamicUpdates


def publisher() -> Publisher | None:
    """The publisher of DNS_URL; None if there is none, and records are made by hand."""
    options = settings.DNS_PUBLISHER
    if options is None:
        return None
    return ProviderRecords(options) if isinstance(options, ProviderDns) else DynamicUpdates(options)
