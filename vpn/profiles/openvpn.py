"""The OpenVPN profile: one .ovpn file with everything inline, for openvpn 2.5 and 2.6 and OpenVPN Connect.

Routes, DNS and addresses are pushed by the hub at connect, so that no change of them outdates a profile.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from portal.naming import ascii_text
from vpn import pki
from vpn.constants import DEFAULT_MTU, MAX_MTU, MIN_MTU
from vpn.profiles.wireguard import endpoint

CONTENT_TYPE = "application/x-openvpn-profile"

DATA_CIPHERS = "AES-256-GCM:CHACHA20-POLY1305"
COMPAT_CIPHER = "AES-256-CBC"
COMPAT_AUTH = "SHA1"

# Seconds between two attempts (first, longest), and seconds without an answer before the next remote is tried.
CONNECT_RETRY = (1, 8)
CONNECT_TIMEOUT = 10

# The longest line that openvpn reads (OPTION_LINE_SIZE), without the line's end and the terminating zero.
LINE_LENGTH = 254
COMMENT_LENGTH = 80
FILENAME_LENGTH = 40
# Windows reserves these names for devices, whatever the extension.
TAKEN_NAMES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")

PROTOCOLS = ("udp", "tcp")


@dataclass(frozen=True)
class OpenVPNProfile:
    """All values of a profile.

    `remotes` are (host, port, "udp" or "tcp") in the order in which they are tried, a host being a name or an address
    without brackets; `server_name` is the common name of the hub's certificate. `compat` is for clients as old as
    OpenVPN in RouterOS 6: TCP, and no `tls_crypt_v2`. The secrets may be missing if profiles are only compared.
    """

    name: str
    remotes: tuple[tuple[str, int, str], ...]
    ca: str
    certificate: str
    private_key: str | None = field(repr=False)
    tls_crypt_v2: str | None = field(repr=False)
    server_name: str
    route_all: bool = False
    compat: bool = False
    mtu: int = DEFAULT_MTU


def render(profile: OpenVPNProfile) -> str:
    """The file's text, in ASCII.

    Raises ValueError for a value that its line may not hold, so that no value can add a line or a directive.
    """
    lines = [*_comment(profile.name), "client", "dev tun", "nobind", "persist-tun"]
    lines += _remotes(profile)
    lines += [
        "connect-retry {} {}".format(*CONNECT_RETRY),
        f"connect-timeout {CONNECT_TIMEOUT}",
        "resolv-retry infinite",
        "remote-cert-tls server",
        f"verify-x509-name {_server_name(profile.server_name)} name",
        f"tun-mtu {_mtu(profile.mtu)}",
        *_encryption(profile.compat),
    ]
    if profile.route_all:
        lines.append("redirect-gateway def1 ipv6")
    lines.append("verb 3")
    if any(len(line) > LINE_LENGTH for line in lines):
        raise ValueError(f"openvpn reads lines of at most {LINE_LENGTH} characters.")
    return "\n".join([*lines, *_inline(profile)]) + "\n"


def _comment(name: str) -> list[str]:
    comment = ascii_text(name)[:COMMENT_LENGTH].strip()
    # Never only the name: OpenVPN Connect and others interpret comments that begin with special words ("#
    # OVPN_ACCESS_SERVER_...", "#viscosity ...").
    return [f"# Profile: {comment}"] if comment else []


def _remotes(profile: OpenVPNProfile) -> list[str]:
    if not profile.remotes:
        raise ValueError("At least one remote was expected.")
    lines = []
    for host, port, protocol in profile.remotes:
        endpoint(host, port)  # raises ValueError for anything but an address or a name, and a port
        if protocol not in PROTOCOLS or (profile.compat and protocol != "tcp"):
            raise ValueError("A remote is reached over udp or tcp, in compatibility mode over tcp.")
        lines.append(f"remote {_canonical(host)} {port} {protocol}")
    # No explicit-exit-notify: openvpn up to 2.5 refuses it beside a remote over TCP. The hub's UDP listener pushes it.
    return lines


def _encryption(compat: bool) -> list[str]:
    if not compat:
        return ["tls-version-min 1.2", f"data-ciphers {DATA_CIPHERS}"]
    return [
        "tls-version-min 1.2",
        "tls-version-max 1.2",
        f"cipher {COMPAT_CIPHER}",
        f"data-ciphers {COMPAT_CIPHER}",
        f"auth {COMPAT_AUTH}",
    ]


def _inline(profile: OpenVPNProfile) -> list[str]:
    certificate, private_key = _own(profile)
    parts = {"ca": _certificate(profile.ca), "cert": certificate, "key": private_key}
    if profile.compat:
        if profile.tls_crypt_v2 is not None:
            raise ValueError("In compatibility mode there is no tls-crypt-v2.")
        # No user and password: the hub asks for none, openvpn 2.5 takes none inline, and RouterOS has its own script.
    else:
        parts["tls-crypt-v2"] = _client_key(profile.tls_crypt_v2)
    return [f"<{name}>\n{text}\n</{name}>" for name, text in parts.items()]


def configuration_digest(profile: OpenVPNProfile) -> str:
    """A digest (hex) of the configuration in a profile, to find outdated ones.

    It holds no secret. It leaves out what may change without a new profile: the name; the hosts, as an address becomes
    a name once that resolves, and a second one may be added; and the key of the control channel, which is new with each
    certificate.
    """
    configured = {
        "remotes": [list(way) for way in dict.fromkeys((port, protocol) for _, port, protocol in profile.remotes)],
        "ca": _fingerprint(profile.ca),
        "certificate": _fingerprint(profile.certificate),
        "server_name": profile.server_name,
        "route_all": profile.route_all,
        "compat": profile.compat,
        "mtu": profile.mtu,
    }
    canonical = json.dumps(configured, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def filename(name: str, distinction: str = "", fallback: str = "vpn") -> str:
    """A file name that every system accepts, and that OpenVPN Connect shows as the profile's name.

    It has 1 to 40 plain characters and ".ovpn". As much of `name` as fits, or `fallback` if nothing of it can be kept,
    comes before `distinction`, which is kept whole.
    """
    end = f"-{distinction}" if distinction else ""
    room = FILENAME_LENGTH - len(end)
    return f"{_plain(name, room) or _plain(fallback, room) or 'vpn'}{end}.ovpn"


def _plain(name: str, longest: int) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "-", ascii_text(name).lower())
    kept = plain.strip("-_")[:longest].strip("-_")
    return f"vpn-{kept}" if TAKEN_NAMES.fullmatch(kept) else kept


def _canonical(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _server_name(name: str) -> str:
    if not pki.PEER_NAME.fullmatch(name):
        raise ValueError("The hub's certificate has another kind of name.")
    return name


def _mtu(value: int) -> int:
    if type(value) is not int or not MIN_MTU <= value <= MAX_MTU:
        raise ValueError(f"An MTU from {MIN_MTU} to {MAX_MTU} was expected.")
    return value


def _certificate(text: str) -> str:
    written = x509.load_pem_x509_certificate(text.encode()).public_bytes(Encoding.PEM).decode("ascii").strip()
    return _unchanged(text, written)


def _own(profile: OpenVPNProfile) -> tuple[str, str]:
    if not profile.private_key:
        raise ValueError("The profile's private key is missing.")
    own = pki.load(profile.certificate, profile.private_key)
    return (
        _unchanged(profile.certificate, own.certificate.strip()),
        _unchanged(profile.private_key, own.private_key.strip()),
    )


def _client_key(text: str | None) -> str:
    if not text:
        raise ValueError("The profile's tls-crypt-v2 key is missing.")
    pki.decode_tls_crypt_v2(text, pki.CLIENT_KEY_TITLE)
    return text.strip()


def _unchanged(text: str, written: str) -> str:
    # Readers of PEM skip text around it, so any such text is refused here.
    if text.strip() != written:
        raise ValueError("There is more in a PEM text than its one certificate or key.")
    return written


def _fingerprint(certificate: str) -> str:
    return hashlib.sha256(certificate.strip().encode()).hexdigest()
