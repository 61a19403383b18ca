"""A site, its profiles, and values that nobody should type, for the tests of every router's files."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from hypothesis import strategies as st

from vpn import keys, pki
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, SiteRouter
from vpn.profiles.wireguard import WireGuardProfile

PRIVATE_KEY = keys.generate_private_key()
HUB_KEY = keys.public_key(keys.generate_private_key())
TAG = "vpn-1f2e3d4c"

WIREGUARD = WireGuardProfile(
    name="Fleet: Berlin",
    private_key=PRIVATE_KEY,
    public_key=keys.public_key(PRIVATE_KEY),
    addresses=(IPv4Interface("100.64.0.2/32"), IPv6Interface("fd12:3456:789a::2/128")),
    dns=(),
    mtu=1420,
    hub_public_key=HUB_KEY,
    preshared_key=keys.generate_preshared_key(),
    endpoint_host="fra.vpn.example.net",
    endpoint_port=20000,
    allowed_ips=(IPv4Network("100.64.0.0/20"), IPv4Network("10.2.0.0/24"), IPv6Network("fd12:3456:789a::/64")),
)
ROUTER = SiteRouter("Berlin", (IPv4Network("10.1.0.0/24"), IPv6Network("fd10:1::/64")), "", TAG)
REMOTE: tuple[Network, ...] = WIREGUARD.allowed_ips


@functools.cache
def openvpn(*, compat: bool) -> OpenVPNProfile:
    """An OpenVPN profile with real certificates and keys."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    authority = pki.create_authority("Fleet", now)
    client = pki.issue_client(authority, "peer-1", now)
    host = "fra.vpn.example.net"
    key = None if compat else pki.tls_crypt_v2_client_key(pki.tls_crypt_v2_server_key())
    return OpenVPNProfile(
        "Fleet: Berlin",
        ((host, 20000, "tcp"),) if compat else ((host, 20001, "udp"), (host, 20001, "tcp")),
        authority.certificate,
        client.certificate,
        client.private_key,
        key,
        "hub",
        compat=compat,
    )


hostile = st.text(max_size=80) | st.text(alphabet="\r\n\t\x00\x85\u2028 $?\"'\\`;#[](){}=~|&<>%é/:-", max_size=80)
v4_networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False), st.ip_addresses(v=4), st.integers(1, 32)
)
v6_networks = st.builds(
    lambda address, prefix: IPv6Network((address, prefix), strict=False), st.ip_addresses(v=6), st.integers(1, 128)
)
network_lists = st.lists(v4_networks | v6_networks, min_size=1, max_size=6, unique=True).map(tuple)
