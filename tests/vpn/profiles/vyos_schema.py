"""The paths of VyOS's configuration that our commands use, by version, read from the interface definitions of vyos-1x
(equuleus is 1.3, sagitta 1.4, current 1.5) and, for the routes of 1.3, from the templates of vyatta-cfg-quagga."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

Paths = Mapping[str, str | None]

_KEY = r"[0-9A-Za-z+/]{43}="
_NET4, _NET6 = r"[0-9.]+/[0-9]+", r"[0-9a-f:]+/[0-9]+"
_PORT = r"[0-9]{1,5}"
_BASE64 = r"[0-9A-Za-z+/=]+"

# A path, in which `*` is a name of the administrator's own, and the values that it takes: None where it takes none.
_WIREGUARD: Paths = {
    "address": rf"{_NET4}|{_NET6}",
    "description": r".{1,255}",
    "mtu": r"[0-9]{2,5}",
    "port": _PORT,
    "peer * allowed-ips": rf"{_NET4}|{_NET6}",
    "peer * address": r"[0-9.]+|[0-9a-f:]+",
    "peer * port": _PORT,
    "peer * preshared-key": _KEY,
    "peer * persistent-keepalive": _PORT,
}
_OPENVPN: Paths = {
    "description": r".{1,255}",
    "device-type": "tun|tap",
    "mode": "client|server|site-to-site",
    "openvpn-option": r".+",
    "persistent-tunnel": None,
    "protocol": "udp|tcp-active|tcp-passive",
    "remote-host": r"[0-9A-Za-z.:-]+",
    "remote-port": _PORT,
    "tls ca-certificate": r"\S+",
    "tls certificate": r"\S+",
}


def _below(path: str, paths: Paths) -> dict[str, str | None]:
    return {f"{path} {rest}": value for rest, value in paths.items()}


_EQUULEUS = {
    **_below("interfaces wireguard *", {**_WIREGUARD, "private-key": r"[\w-]+", "peer * pubkey": _KEY}),
    "protocols static interface-route * next-hop-interface": r"\S+",
    "protocols static interface-route6 * next-hop-interface": r"\S+",
}
_SAGITTA = {
    **_below("interfaces wireguard *", {**_WIREGUARD, "private-key": _KEY, "peer * public-key": _KEY}),
    **_below("interfaces openvpn *", {**_OPENVPN, "encryption ncp-ciphers": "aes256gcm"}),
    "pki ca * certificate": _BASE64,
    "pki certificate * certificate": _BASE64,
    "pki certificate * private key": _BASE64,
    "protocols static route * interface": r"\S+",
    "protocols static route6 * interface": r"\S+",
}
_CURRENT = {
    **{path: value for path, value in _SAGITTA.items() if not path.endswith("ncp-ciphers")},
    "interfaces openvpn * encryption data-ciphers": "aes256gcm",
    "interfaces wireguard * peer * host-name": r"[0-9A-Za-z.-]+",
}
SCHEMAS: Mapping[str, Paths] = {"1.3.8": _EQUULEUS, "1.4.0": _SAGITTA, "1.5.0": _CURRENT}


def refusal(version: str, line: str) -> str:
    """What VyOS would say of a `set` or `delete` command, or "" where it takes it."""
    command, *words = shlex.split(line)
    paths = {tuple(path.split()): value for path, value in SCHEMAS[version].items()}
    if command == "delete":
        whole = any(_same(words, path[: len(words)]) or _same(words[:-1], path) for path in paths)
        return "" if whole else f"no such path: {line}"
    for path, value in paths.items():
        if value is None and _same(words, path):
            return ""
        if value is not None and _same(words[:-1], path):
            return "" if re.fullmatch(value, words[-1]) else f"not a value: {line}"
    return f"no such path: {line}"


def _same(words: list[str], path: tuple[str, ...]) -> bool:
    return len(words) == len(path) and all(part in ("*", word) for word, part in zip(words, path, strict=True))
