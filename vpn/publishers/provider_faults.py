"""What goes wrong at a DNS provider, as findings."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from portal.running.dns_url import ProviderDns
from vpn import failures
from vpn.publishers.base import NotPublished
from vpn.wire.finding import Finding

logger = logging.getLogger(__name__)
# HTTP statuses (RFC 9110, RFC 6585). Vultr answers 503 to too many requests.
_UNAUTHORIZED: Final = frozenset({401, 403})
_TOO_MANY: Final = frozenset({429, 503})


@contextmanager
def faults_at(options: ProviderDns, *, writing: bool = False) -> Iterator[None]:
    """Turn what goes wrong in an exchange with the provider into NotPublished.

    If `writing`, a part of the records may have been written.
    """
    try:
        yield
    except NotPublished:
        raise
    except Exception as error:  # noqa: BLE001 - of many kinds: the drivers' own, of HTTP, of odd answers
        finding = _finding(error, options)
        logger.info("The DNS provider %s: %s (%s)", options.server, finding, type(error).__name__)
        raise NotPublished(finding, perhaps_written=writing) from None  # the error may quote the request


def _finding(error: Exception, options: ProviderDns) -> Finding:
    from libcloud.common.types import InvalidCredsError
    from libcloud.dns.types import ZoneDoesNotExistError

    status = next((one for one in (getattr(error, "code", 0), getattr(error, "http_code", 0)) if one), 0)
    if isinstance(error, InvalidCredsError) or status in _UNAUTHORIZED:
        return failures.NAME_CREDENTIALS_WRONG.of(options.server)
    if isinstance(error, ZoneDoesNotExistError):
        return failures.NAME_ZONE_MISSING.of(options.zone)
    if status in _TOO_MANY or "throttl" in str(error).lower():  # AWS says 400 and "Throttling"
        return failures.NAME_PROVIDER_BUSY.of(options.server)
    if isinstance(error, OSError):  # those of requests too
        return failures.NAME_PROVIDER_SILENT.of(options.server)
    return failures.NAME_PROVIDER_REFUSED.of(f"{options.provider}:{status or type(error).__name__}")
