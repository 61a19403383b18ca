"""The chains of the hub's nftables table, as text for nft(8) from a spec."""

from __future__ import annotations

import ipaddress
from typing import Final

from vpn.agent.firewall import exits
from vpn.agent.firewall.flow_marks import BINDING, CURRENT
from vpn.agent.firewall.nesting import holds_others
from vpn.agent.memory.names import Names
from vpn.wire.peers import PROBE, uses_exit
from vpn.wire.spec import ALLOW, HubSpec

# A chain: its hook line ("" for none), and its rules.
Chain = tuple[str, list[str]]

# Packet mark: the flow was accepted before, so later chains need not evaluate it.
_ACCEPTED: Final = "0x00000001"
_OF_ACCEPTED_FLOW: Final = f"ct mark . ct direction . iifname @{CURRENT}"

_IPV4_TCP_HEADERS: Final = 40
_IPV6_TCP_HEADERS: Final = 60
_NEIGHBOURS: Final = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
_ERRORS_V4: Final = "icmp type { destination-unreachable, time-exceeded, parameter-problem }"
_ERRORS_V6: Final = "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }"


def chains(names: Names, spec: HubSpec, rules: dict[int, list[str]]) -> dict[str, Chain]:
    """Return the chains by name; `rules` are the compiled rules of the spec, by address family."""
    has_exit = uses_exit(spec.peers.values())
    return {
        "prerouting": _prerouting(names, spec, has_exit=has_exit),
        **(exits.marking(names, _tunnels(names)) if has_exit else {}),
        "input": _input(names, spec),
        "forward": _forward(names, has_exit=has_exit),
        **({"exit": ("", exits.leaving(names, _ACCEPTED, BINDING))} if has_exit else {}),
        "evaluate": _evaluate(names, spec),
        **{f"rules_v{family}": ("", lines) for family, lines in rules.items()},
        "outwards": ("", _outwards(spec)),
        "beyond": ("", [*(f"{network} {_between_peers(spec)}" for network in _to("opened")), "goto allowed"]),
        "allowed": ("", ["ct mark set meta mark accept"]),
        "refuse": (
            "",
            [
                f'iifname "{names.uplink}" drop',
                "meta l4proto tcp reject with tcp reset",
                "reject with icmpx admin-prohibited",
            ],
        ),
        "clamp": (
            "",
            [
                f"meta nfproto ipv4 tcp option maxseg size set {spec.mtu - _IPV4_TCP_HEADERS}",
                f"meta nfproto ipv6 tcp option maxseg size set {spec.mtu - _IPV6_TCP_HEADERS}",
            ],
        ),
        "output": _output(names, spec),
    }


def _tunnels(names: Names, *more: str) -> str:
    # OpenVPN's interfaces are named before they exist, so no packet through them can escape these rules.
    return "{{ {} }}".format(", ".join(f'"{name}"' for name in (*names.tunnels, *more)))


def _prerouting(names: Names, spec: HubSpec, *, has_exit: bool) -> Chain:
    verdict = "" if holds_others(spec.addresses, spec.peers.values()) else " accept"
    # The hook runs after conntrack, because it reads conntrack marks.
    return _hook("prerouting", "mangle", "accept"), [
        # The mark names the interfaces, so the route lookup of the last rule is not needed. A `related` ICMP error is
        # checked all the same: its source is not part of the flow.
        f"ct state != related {_OF_ACCEPTED_FLOW} meta mark set {_ACCEPTED}{verdict}",
        f"iifname != {_tunnels(names)} accept",
        "ip saddr @forged_v4 drop",
        "ip daddr @never_v4 drop",
        "ip6 saddr @forged_v6 drop",
        "ip6 daddr @never_v6 drop",
        *(exits.replies(names, _ACCEPTED, (_ERRORS_V4, _ERRORS_V6)) if has_exit else ()),
        "fib saddr . iif oif missing drop",
    ]


def _input(names: Names, spec: HubSpec) -> Chain:
    asked = [] if spec.resolver is None else [f"iifname {_tunnels(names)} {_daddr(own)} {_DNS}" for own in _own(spec)]
    return _hook("input", "filter", "drop"), [
        'iifname "lo" accept',
        f'iifname "{names.uplink}" {_NEIGHBOURS} ip6 hoplimit 255 accept',
        "ct state invalid drop",
        "ct state established,related accept",
        *(
            f"iifname {_tunnels(names)} {_daddr(own)} {'icmpv6' if ':' in own else 'icmp'} type echo-request accept"
            for own in _own(spec)
        ),
        *asked,
    ]


def _forward(names: Names, *, has_exit: bool) -> Chain:
    tunnels = _tunnels(names)
    return _hook("forward", "filter", "drop"), [
        "tcp flags & (syn | rst) == syn jump clamp",
        *(exits.jump() if has_exit else ()),
        f"meta mark {_ACCEPTED} accept",
        f"ct state related {_OF_ACCEPTED_FLOW} accept",
        "ct state invalid,related,untracked drop",
        # Read the mark before evaluation: if the rules change meanwhile, the flow gets an outdated mark and is
        # evaluated again.
        f"ct direction original meta mark set iifname . oifname map @{BINDING}",
        f"ct direction reply meta mark set oifname . iifname map @{BINDING}",
        f"ct direction original iifname {tunnels} goto evaluate",
        f"ct direction reply oifname {tunnels} goto evaluate",
    ]


def _evaluate(names: Names, spec: HubSpec) -> Chain:
    # First drop what no rule can allow, so that rule counters do not count it.
    first = [*_probe_goes_nowhere(spec), *_through_uplink(names, "jump outwards")]
    families = [f"meta nfproto ipv{family} jump rules_v{family}" for family in (4, 6)]
    return "", [*first, *families, *_through_uplink(names, "goto beyond"), _between_peers(spec)]


def _between_peers(spec: HubSpec) -> str:
    return "goto allowed" if spec.forwarding == ALLOW else "drop"


def _outwards(spec: HubSpec) -> list[str]:
    """Return the rules that protect the server and its networks: only the portal and opened networks are reachable."""
    portal = f"meta l4proto tcp ct original proto-dst {spec.server.portal_port} return"
    return [
        *(f"{network} {portal}" for network in _to("server") if spec.server.portal_port is not None),
        *(f"{network} goto refuse" for network in _to("server")),
        *(f"{network} return" for network in _to("opened")),
        *(f"{network} drop" for network in _to("private")),
        "meta l4proto tcp ct original proto-dst 25 drop",
    ]


def _to(name: str) -> list[str]:
    return [f"ct original ip daddr @{name}_v4", f"ct original ip6 daddr @{name}_v6"]


def _probe_goes_nowhere(spec: HubSpec) -> list[str]:
    """Return the rules that isolate the portal's own peer: it reaches the hub only, and no peer reaches it."""
    probe = spec.peers.get(PROBE)
    addresses = [network.partition("/")[0] for network in probe.networks] if probe is not None else []
    return [f"{'ip6' if ':' in each else 'ip'} {end} {each} drop" for each in addresses for end in ("saddr", "daddr")]


def _through_uplink(names: Names, verdict: str) -> list[str]:
    return [f'{direction} "{names.uplink}" {verdict}' for direction in ("oifname", "iifname")]


def _output(names: Names, spec: HubSpec) -> Chain:
    tunnels = _tunnels(names)
    return _hook("output", "filter", "drop"), [
        'oifname "lo" accept',
        f'oifname "{names.uplink}" {_NEIGHBOURS} accept',
        *_silence(names, spec),
        f"oifname {tunnels} {_ERRORS_V4} accept",
        f"oifname {tunnels} {_ERRORS_V6} accept",
        "ct state established,related accept",
        *_asking(names, spec),
    ]


def _hook(hook: str, priority: str, policy: str) -> str:
    return f"\t\ttype filter hook {hook} priority {priority}; policy {policy};\n"


def _own(spec: HubSpec) -> list[str]:
    return [str(ipaddress.ip_interface(address).ip) for address in spec.addresses]


# The resolver.

_DNS: Final = "meta l4proto { tcp, udp } th dport 53 accept"


def _asking(names: Names, spec: HubSpec) -> list[str]:
    """Return the rules for queries of the hub's resolver, also into a tunnel: a site may be the default route."""
    if spec.resolver is None:
        return []
    servers = dict.fromkeys((*spec.resolver.upstreams, *spec.resolver.domain_servers))
    return [f"oifname {_tunnels(names, names.uplink)} {_daddr(address)} {_DNS}" for address in servers]


def _silence(names: Names, spec: HubSpec) -> list[str]:
    """Return the rules that drop ICMP errors about DNS queries while the resolver restarts.

    A stub resolver gives up at once when its query is refused; without an answer, it retries.
    """
    if spec.resolver is None:
        return []
    return [
        f"oifname {_tunnels(names)} meta l4proto {{ icmp, ipv6-icmp }} ct original {_daddr(own)}"
        " ct original proto-dst 53 drop"
        for own in _own(spec)
    ]


def _daddr(address: str) -> str:
    return f"{'ip6' if ':' in address else 'ip'} daddr {address}"
