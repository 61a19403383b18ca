"""Validation of JSON data. Accepted values are canonical and use a known alphabet. Faults never quote a value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final

from vpn.wire import codes
from vpn.wire.errors import INVALID, AgentError
from vpn.wire.reserved import RESERVED_V4, RESERVED_V6

# The UUID of a peer or a rule, as `uuid.UUID` prints it (RFC 9562).
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# 32 bytes in base64: the last character before the padding carries four bits.
WIREGUARD_KEY: Final = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_MAXIMUM_PEM: Final = 4 * 1024 * 1024  # characters; a revocation list grows by some fifty with each certificate
_PEM_LINES: Final = re.compile(r"(?:[A-Za-z0-9+/]{1,76}\n)*[A-Za-z0-9+/]{1,76}={0,2}\n")


def _starts(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> tuple[tuple[int, int, int], ...]:
    """Return for each network its leading bits, the shift that extracts them from an address, and the prefix length."""
    starts = []
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        starts.append((int(network.network_address) >> shift, shift, network.prefixlen))
    return tuple(starts)


_RESERVED_V4: Final = _starts(RESERVED_V4)
_RESERVED_V6: Final = _starts(RESERVED_V6)


class Faults(list[str]):
    """All faults of a document. The error shows the first ten."""

    def raise_if_any(self, what: str) -> None:
        """Raise AgentError `invalid` if there are faults."""
        if self:
            more = f" (and {len(self) - 10} more)" if len(self) > 10 else ""
            message = f"The {what} is not valid: {'; '.join(self[:10])}{more}."
            raise AgentError(INVALID, message, codes.AGENT_DOCUMENT_INVALID.of(what))


def fields_of(
    value: object, name: str, fields: frozenset[str], faults: Faults, optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return `value` if it is an object with `fields` and possibly `optional` ones; else add a fault."""
    if not isinstance(value, dict):
        faults.append(f"{name} is not an object")
        return {}
    if unknown := len(value.keys() - fields - optional):
        faults.append(f"{name} has {unknown} unknown fields")
    faults.extend(f"{name} lacks {missing}" for missing in sorted(fields - value.keys()))
    return value


def text(value: object, name: str, pattern: re.Pattern[str], faults: Faults) -> str:
    """Return `value` if it fully matches `pattern`."""
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    faults.append(f"{name} is malformed")
    return ""


def number(value: object, name: str, lowest: int, highest: int, faults: Faults) -> int:
    """Return `value` if it is a whole number in the range."""
    if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
        return value
    faults.append(f"{name} is not a whole number from {lowest} to {highest}")
    return 0


def flag(value: object, name: str, faults: Faults) -> bool:
    """Return `value` if it is true or false."""
    if not isinstance(value, bool):
        faults.append(f"{name} is neither true nor false")
    return value is True


def pem(value: object, name: str, label: str, faults: Faults) -> str:
    """Return `value` if it is one PEM block (RFC 7468) with this `label`, ending with a newline."""
    begin, end = f"-----BEGIN {label}-----\n", f"-----END {label}-----\n"
    if (
        isinstance(value, str)
        and len(value) <= _MAXIMUM_PEM
        and value.startswith(begin)
        and value.endswith(end)
        and _PEM_LINES.fullmatch(value[len(begin) : -len(end)])
    ):
        return value
    faults.append(f"{name} is not one PEM block of a {label}")
    return ""


def texts(value: object, name: str, pattern: re.Pattern[str], most: int, faults: Faults) -> tuple[str, ...]:
    """Return `value` if it is a list of at most `most` different texts that all match `pattern`."""
    good = (
        [item for item in value if isinstance(item, str) and pattern.fullmatch(item)] if isinstance(value, list) else []
    )
    if not isinstance(value, list) or len(good) != len(value) or len(set(good)) != len(good) or len(good) > most:
        faults.append(f"{name} is malformed, has duplicates, or has more than {most} entries")
    return tuple(good)


def choice(value: object, name: str, choices: tuple[str, ...], faults: Faults) -> str:
    """Return `value` if it is one of `choices`."""
    if isinstance(value, str) and value in choices:
        return value
    faults.append(f"{name} is not one of {', '.join(choices)}")
    return ""


def interfaces(value: object, faults: Faults) -> tuple[str, ...]:
    """Return `value` if it is a list of addresses with their prefixes."""
    if not isinstance(value, list) or not 1 <= len(value) <= 8:
        faults.append("addresses is not a list of one to eight addresses")
        return ()
    good = [item for item in value if isinstance(item, str) and _is_interface(item)]
    if len(good) != len(value) or len(set(good)) != len(good):
        faults.append("addresses has an entry that is reserved, or not a canonical address with prefix")
    return tuple(good)


def _is_interface(text: str) -> bool:
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return False
    if "%" in text or interface.with_prefixlen != text:
        return False
    return not _reserved(interface.network) and interface.network.prefixlen > 0


def hosts(value: object, name: str, faults: Faults) -> tuple[str, ...]:
    """Return `value` if it is a list of at most sixteen single addresses."""
    good = [item for item in value if isinstance(item, str) and _is_host(item)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(good) != len(value) or len(set(good)) != len(good) or len(good) > 16:
        faults.append(f"{name} is not a list of at most sixteen canonical addresses")
    return tuple(good)


def _is_host(text: str) -> bool:
    try:
        return str(ipaddress.ip_address(text)) == text and "%" not in text
    except ValueError:
        return False


def networks(value: object, name: str, faults: Faults) -> tuple[str, ...]:
    """Return `value` if it is a list of networks."""
    if not isinstance(value, list):
        faults.append(f"{name} is not a list")
        return ()
    good = [item for item in value if isinstance(item, str) and _is_network(item)]
    if len(good) != len(value) or len(set(good)) != len(good):
        faults.append(f"{name} has an entry that is reserved, or not a canonical network")
    return tuple(good)


def is_plain_network(text: str) -> bool:
    """Return True if `text` is a canonical network, reserved or not."""
    try:
        return str(ipaddress.ip_network(text)) == text and "%" not in text
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    return is_plain_network(text) and not _reserved(ipaddress.ip_network(text))


def _reserved(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    # One hub may have thousands of networks, and comparing numbers is ten times as fast as `subnet_of`.
    first, length = int(network.network_address), network.prefixlen
    return any(
        length >= prefix and first >> shift == start
        for start, shift, prefix in (_RESERVED_V4 if network.version == 4 else _RESERVED_V6)
    )
