"""What went wrong with a call, from the exceptions of libcloud and the words of providers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vpn import failures
from vpn.drivers.cloud.base import CloudError, CloudLogin
from vpn.wire.finding import Code

# In order: the first that matches counts. EC2 answers a lack of capacity with the status 500, so words come first.
_SIGNS: Final[tuple[tuple[Code, str], ...]] = (
    (failures.CLOUD_BUSY, r"RequestLimitExceeded|rate.?limit|too many requests"),
    (
        failures.CLOUD_CREDENTIALS,
        r"InvalidClientTokenId|SignatureDoesNotMatch|AuthFailure|OptInRequired|unauthori[sz]ed\b|invalid.*(token|cred|key)",
    ),
    (failures.CLOUD_RIGHTS, r"UnauthorizedOperation|AccessDenied|not authori[sz]ed|not permitted|forbidden|readonly"),
    (failures.CLOUD_QUOTA, r"LimitExceeded|quota|(limit|maximum).*(reached|exceeded)|exceed.*limit"),
    (
        failures.CLOUD_CAPACITY,
        r"Insufficient\w*Capacity|FreeAddresses|capacity|placement|no valid host|sold out|out of stock|unavailable now",
    ),
    (failures.CLOUD_IMAGE, r"InvalidAMI|image"),
    (failures.CLOUD_SIZE, r"InstanceType|server.?type|invalid (size|plan|type)|flavor|\bsize\b|\bplan\b"),
    (failures.CLOUD_NETWORK, r"InvalidSubnet|InvalidGroup|subnet|security.?group|network"),
    (failures.CLOUD_LOCATION, r"region|availability zone|location"),
)
# Hetzner's words for: something else goes on there at the moment.
_AGAIN: Final = re.compile(r"\((?:conflict|locked)\)")
# From this status on, the cloud has failed, and did not refuse.
_FAULT: Final = 500
_STATUS: Final = re.compile(r"(?:status code|code): (\d{3})", re.IGNORECASE)


@contextmanager
def translated(login: CloudLogin, *, size: str = "", image: str = "") -> Iterator[None]:
    """Raise CloudError for whatever a call of libcloud raises inside."""
    try:
        yield
    except CloudError:
        raise
    except Exception as error:
        raise _error_of(error, login, size, image) from error


def _error_of(error: Exception, login: CloudLogin, size: str, image: str) -> CloudError:
    from libcloud.common.types import InvalidCredsError

    words = f"{type(error).__name__}: {error}"
    if isinstance(error, InvalidCredsError):
        return CloudError(failures.CLOUD_CREDENTIALS.of(login.provider), words)
    if isinstance(error, OSError):  # those of requests too: no connection, no answer in time, or TLS failed
        return CloudError(failures.CLOUD_SILENT.of(login.endpoint or login.provider), words, is_certain=False)
    subjects = {
        failures.CLOUD_CAPACITY: "/".join(filter(None, (size, login.location))),
        failures.CLOUD_IMAGE: image,
        failures.CLOUD_SIZE: size,
        failures.CLOUD_NETWORK: login.network,
        failures.CLOUD_LOCATION: login.location,
    }
    status = _status_of(error)
    if _AGAIN.search(str(error)):
        return CloudError(failures.CLOUD_FAILED.of(status), words, is_certain=False)
    for code, sign in _SIGNS:
        if re.search(sign, str(error), re.IGNORECASE):
            # A fault inside the cloud may follow the call's effect, whatever its words are about.
            is_refused = code == failures.CLOUD_CAPACITY or (code != failures.CLOUD_BUSY and status < _FAULT)
            return CloudError(code.of(subjects.get(code, login.provider)), words, is_certain=is_refused)
    if status == 401:
        return CloudError(failures.CLOUD_CREDENTIALS.of(login.provider), words)
    if status == 403:
        return CloudError(failures.CLOUD_RIGHTS.of(login.provider), words)
    if 400 <= status < _FAULT:
        return CloudError(failures.CLOUD_REFUSED.of(status), words)
    return CloudError(failures.CLOUD_FAILED.of(status or type(error).__name__), words, is_certain=False)


def _status_of(error: Exception) -> int:
    """The HTTP status of an answer, as far as libcloud says it; else 0."""
    for name in ("code", "http_code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0
