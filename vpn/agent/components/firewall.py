"""What the hub lets pass, from its first packet on: `table inet hub` in the hub's namespace, replaced as a whole.

AllowedIPs is routing, not access control: this is where access is controlled.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Final

from vpn.agent import command, nft, sysctl
from vpn.agent.names import Names
from vpn.agent.reserved import NEVER_V4, NEVER_V6, PRIVATE_V4, PRIVATE_V6
from vpn.agent.spec import ALLOW, HubSpec

TABLE: Final = "hub"

# A flow that was cut off must not be taken up again from its middle.
_SETTINGS: Final = {"net.netfilter.nf_conntrack_tcp_loose": "0"}

# Beyond so many networks one flush costs everybody less than looking for each.
_CUT_ONE_BY_ONE: Final = 200

_FLOW: Final = re.compile(r"^[^=\n]*src=(\S+) dst=(\S+)", re.MULTILINE)

_IPV4_TCP_HEADERS: Final = 40
_IPV6_TCP_HEADERS: Final = 60


def ensure(names: Names, spec: HubSpec, marks: dict[str, str]) -> bool:
    """Make the hub's rules hold; return whether they did not."""
    changed = nft.ensure_table(names.inside, TABLE, body(names, spec), marks)
    # After the table: the setting exists once connections are tracked.
    return sysctl.ensure(names.inside, _SETTINGS) or changed


def drift(names: Names, marks: Mapping[str, str]) -> list[str]:
    """Return in words whether somebody else changed the hub's rules."""
    return [] if nft.is_as_loaded(names.inside, TABLE, marks) else ["The hub's firewall rules were changed."]


def cut(names: Names, networks: Collection[str]) -> None:
    """End the flows of networks that a peer has given up: whoever gets them next must not inherit its replies."""
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        given_up = [ipaddress.ip_network(network) for network in networks if mark in network]
        # Each look goes through the whole table of the host, so most are saved by a first one.
        ends = _ends_of_flows(names, family) if given_up else set()
        concerned = [network for network in given_up if any(end in network for end in ends)]
        if len(concerned) > _CUT_ONE_BY_ONE:
            _conntrack(names, ["-F", "-f", family])
            continue
        for network in concerned:
            for direction in ("--orig-src", "--orig-dst"):
                _conntrack(names, ["-D", "-f", family, direction, str(network)])


def body(names: Names, spec: HubSpec) -> str:
    """Return the content of the hub's table."""
    uplink = f'"{names.uplink}"'
    # Those of OpenVPN are named before they are there: no packet comes through one without these rules.
    tunnel = "{{ {} }}".format(", ".join(f'"{name}"' for name in names.tunnels))
    own = [ipaddress.ip_interface(address).ip for address in spec.addresses]
    ping = [
        f"    iifname {tunnel} ip daddr {address} icmp type echo-request accept\n"
        if address.version == 4
        else f"    iifname {tunnel} ip6 daddr {address} icmpv6 type echo-request accept\n"
        for address in own
    ]
    asked, asking = _resolver(names, spec)
    silence = _silence(names, spec)
    between_peers = "accept" if spec.forwarding == ALLOW else "drop"
    return f"""\
  set never_v4 {{
    type ipv4_addr
    flags interval
    elements = {{ {nft.elements(NEVER_V4)} }}
  }}
  set never_v6 {{
    type ipv6_addr
    flags interval
    elements = {{ {nft.elements(NEVER_V6)} }}
  }}
  set private_v4 {{
    type ipv4_addr
    flags interval
    elements = {{ {nft.elements(PRIVATE_V4)} }}
  }}
  set private_v6 {{
    type ipv6_addr
    flags interval
    elements = {{ {nft.elements(PRIVATE_V6)} }}
  }}
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname {tunnel} ip saddr @never_v4 drop
    iifname {tunnel} ip daddr @never_v4 drop
    iifname {tunnel} ip6 saddr @never_v6 drop
    iifname {tunnel} ip6 daddr @never_v6 drop
    iifname {tunnel} fib saddr type {{ local, broadcast, multicast }} drop
    iifname {tunnel} fib saddr . iif oif missing drop
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname {uplink} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
    ct state invalid drop
    ct state established,related accept
{"".join(ping)}{asked}  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state invalid drop
    meta nfproto ipv4 tcp flags & (syn | rst) == syn tcp option maxseg size set {spec.mtu - _IPV4_TCP_HEADERS}
    meta nfproto ipv6 tcp flags & (syn | rst) == syn tcp option maxseg size set {spec.mtu - _IPV6_TCP_HEADERS}
    ct state established,related accept
    iifname {tunnel} oifname {tunnel} {between_peers}
    iifname {tunnel} oifname {uplink} jump outwards
  }}
  chain outwards {{
    ip daddr @private_v4 drop
    ip6 daddr @private_v6 drop
    tcp dport 25 drop
    accept
  }}
  chain output {{
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    oifname {uplink} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
{silence}    oifname {tunnel} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} accept
    oifname {tunnel} icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept
    ct state established,related accept
{asking}  }}
"""


def _resolver(names: Names, spec: HubSpec) -> tuple[str, str]:
    """Return the rules for queries that the hub's resolver is asked, and for those that it asks itself."""
    if spec.resolver is None:
        return "", ""
    dns = "meta l4proto { tcp, udp } th dport 53 accept"
    tunnels = ", ".join(f'"{name}"' for name in names.tunnels)
    own = [str(ipaddress.ip_interface(address).ip) for address in spec.addresses]
    servers = dict.fromkeys((*spec.resolver.upstreams, *spec.resolver.domain_servers))
    asked = [f"    iifname {{ {tunnels} }} {_daddr(address)} {dns}\n" for address in own]
    # Also into a tunnel: a site may be the way to everything.
    asking = [f'    oifname {{ {tunnels}, "{names.uplink}" }} {_daddr(address)} {dns}\n' for address in servers]
    return "".join(asked), "".join(asking)


def _silence(names: Names, spec: HubSpec) -> str:
    """Return the rules that keep the hub from refusing questions: while its resolver starts anew they are asked again.

    Stub resolvers that are refused give up at once.
    """
    if spec.resolver is None:
        return ""
    tunnels = ", ".join(f'"{name}"' for name in names.tunnels)
    own = [str(ipaddress.ip_interface(address).ip) for address in spec.addresses]
    return "".join(
        f"    oifname {{ {tunnels} }} meta l4proto {{ icmp, ipv6-icmp }} ct original {_daddr(address)}"
        " ct original proto-dst 53 drop\n"
        for address in own
    )


def _daddr(address: str) -> str:
    return f"{'ip6' if ':' in address else 'ip'} daddr {address}"


def _ends_of_flows(names: Names, family: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    listing = _conntrack(names, ["-L", "-f", family])
    # The first pair of a line is the one that opened the flow.
    pairs = _FLOW.findall(listing)
    return {ipaddress.ip_address(end) for end in {end for pair in pairs for end in pair}}


def _conntrack(names: Names, arguments: list[str]) -> str:
    result = names.inside.try_run(["conntrack", *arguments])
    # It fails when there was no such flow, which is fine.
    if result.code != 0 and "0 flow entries" not in result.err:
        raise command.explain("conntrack", result)
    return result.out
