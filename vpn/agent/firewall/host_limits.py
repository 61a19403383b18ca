"""Limits for the host's connection tracking (conntrack) table, which all hubs share with the host itself.

The table has `nf_conntrack_max` entries (usually 262,144). When it is full, every new connection is dropped: those of
other hubs, first packets of peers, and the operator's SSH. So one hub may use an eighth of it, and all hubs together
three quarters. Unanswered connection attempts to the hubs' sockets may use an eighth; these entries expire soon.

Tunnel packets are tracked as long as there are few attempts. They cannot always be untracked: a host whose chains
accept only `ct state new` or `established` would drop them (shown with `notrack` both ways on the strict host of
tests/network/test_limits.py: no handshake succeeds). And if the host redirects a port to a hub's port, untracked
replies would leave with the wrong source port.

UDP attempts above that share are not tracked, and neither are the replies, so new peers can still connect. A set keeps
the remote addresses that were answered lately; these limits do not apply to them. Forwarded traffic of hubs is tracked
because the host masquerades it, and TCP because the limits count connections.

The table `inet vpnhub_limits` limits UDP attempts before conntrack. All its other chains run after the host's own
rules and drop only what these accepted. It also contains the ports of hubs of other portals on the same host.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from vpn.agent.firewall import tracking
from vpn.agent.memory.names import HOSTLINK
from vpn.agent.system import nft
from vpn.agent.system.command import Netns, Result
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding

TABLE: Final = "vpnhub_limits"
# By set name, the key of its ports in a hub's entry of sources.json.
_SETS: Final = {"udp_ports": "ports", "tcp_ports": "tcp_ports"}
_PORT: Final = re.compile(r'(\d+) comment "([a-z0-9]+)"')

_MOST_REMEMBERED: Final = 65536
_FAMILIES: Final = ((4, "ip"), (6, "ip6"))
# One site or attacker usually has a whole /64 of IPv6, so it counts as one source.
_SOURCES: Final = ((4, "ip saddr"), (6, "ip6 saddr & ffff:ffff:ffff:ffff::"))
_ATTEMPT_SETS: Final = ("attempts", "tcp_attempts")
# The remote address, the remote port and the listener's port, in each direction.
_ARRIVING: Final = ((4, "ip saddr . udp sport . udp dport"), (6, "ip6 saddr . udp sport . udp dport"))
_LEAVING: Final = ((4, "ip daddr . udp dport . udp sport"), (6, "ip6 daddr . udp dport . udp sport"))
_REMOTES: Final = {"answered": "3m", "untracked": "10s"}  # how long an entry is kept
_MOST_REMOTES: Final = 262_144

# New connections a second: of one hub, and attempts from one address (a /64 of IPv6). Many devices may be behind one
# address, and all reconnect after a restart.
_HUB_RATE: Final = "limit rate over 2000/second burst 8000 packets"
_ATTEMPTS: Final = "limit rate over 100/second burst 1000 packets"
# Attempts at one listener: this rate takes a seventh of a CPU with OpenVPN 2.6 (measured).
_LISTENER_ATTEMPTS: Final = "limit rate over 10000/second burst 10000 packets"
# The first packet of an OpenVPN client before 2.6 makes the listener allocate 200 kB, even for a spoofed source.
# It is a reset (opcode 10) whose packet id does not announce the stateless cookie (EARLY_NEG_START in ssl_pkt.h).
_PLAIN_RESET: Final = "@th,64,8 0x50 @th,136,8 != 0x0f"
_PLAIN_RESETS: Final = "limit rate over 10/second burst 200 packets"
# A TCP connection without a handshake occupies memory of the process until the handshake timeout.
_TCP_ATTEMPTS: Final = "limit rate over 3/second burst 60 packets"
_ALL_TCP_ATTEMPTS: Final = "limit rate over 100/second burst 1000 packets"
_TCP_CONNECTIONS: Final = 1024  # from one address
# Protocols without ports cannot be spread over the lists (see `tracking`): they share one list as long as eight.
_LISTS_OF_OTHERS: Final = 8

# Seconds, as in a hub's own namespace (see `tracking`). They apply to the hubs' connections only.
_TIMEOUTS: Final = {
    "hub_tcp": ("tcp", "established : 7440, syn_sent : 30, syn_recv : 30, fin_wait : 60, time_wait : 30"),
    "attempts": ("udp", "unreplied : 10, replied : 180"),
}
_TRACKED_ATTEMPTS: Final = "tracked_attempts"

Ports = dict[str, set[tuple[str, str]]]  # (port, hub) by the name of the set


def ensure(host: Netns, sources: Mapping[str, Any], hubs: Collection[str], fingerprints: dict[str, str]) -> bool:
    """Apply the limits to the ports in `sources`, by hub; return True if anything changed.

    `hubs` are all hubs of this agent. The ports of other agents' hubs stay in the table.
    """
    listing = _listed(host)
    there = _there(host) if listing.code == 0 else {name: set() for name in _SETS}
    wanted = {name: {each for each in there[name] if each[1] not in hubs} | _ports(sources, name) for name in _SETS}
    if _is_loaded(listing, fingerprints):
        if there == wanted:
            return False
        nft.run(host, "".join(f"flush set inet {TABLE} {name}\n" for name in _SETS) + _filled(wanted))
        return True
    before = f"table inet {TABLE}\ndelete table inet {TABLE}\n" if "No such file" not in listing.err else ""
    body = _load(host, before, wanted)
    fingerprints[TABLE] = nft.fingerprint(body, _listed(host).out)
    return True


def drift(host: Netns, fingerprints: Mapping[str, str]) -> list[Finding]:
    """Return a finding if the host's limits are not as loaded."""
    return [] if _is_loaded(_listed(host), fingerprints) else [codes.LIMITS_HOST_CHANGED.of()]


def _is_loaded(listing: Result, fingerprints: Mapping[str, str]) -> bool:
    return listing.code == 0 and any(
        fingerprints.get(TABLE) == nft.fingerprint(body, listing.out) for body in _bodies()
    )


def _load(host: Netns, before: str, ports: Ports) -> str:
    """Load the table and return the body that the kernel accepted."""
    *better, last = _bodies()
    for body in better:
        with suppress(AgentError):
            nft.run(host, f"{before}table inet {TABLE} {{\n{body}}}\n{_filled(ports)}")
            return body
    nft.run(host, f"{before}table inet {TABLE} {{\n{last}}}\n{_filled(ports)}")
    return last


def _listed(host: Netns) -> Result:
    # Without elements: the kernel adds and expires them.
    return nft.list_without_elements(host, TABLE)


def _there(host: Netns) -> Ports:
    return {
        name: set(_PORT.findall(host.try_run([nft.PROGRAM, "-s", "list", "set", "inet", TABLE, name]).out))
        for name in _SETS
    }


def _ports(sources: Mapping[str, Any], name: str) -> set[tuple[str, str]]:
    field = _SETS[name]
    return {
        (str(int(port)), hub)
        for hub, document in sources.items()
        for port in (document.get(field, ()) if isinstance(document, dict) else ())
    }


def _filled(ports: Ports) -> str:
    lines = {name: ", ".join(f'{port} comment "{hub}"' for port, hub in sorted(each)) for name, each in ports.items()}
    return "".join(f"add element inet {TABLE} {name} {{ {each} }}\n" for name, each in lines.items() if each)


def _bodies() -> list[str]:
    """Return the table's content, and the same for a kernel without NF_CONNTRACK_TIMEOUT."""
    body = _body()
    return [body, re.sub(r"^.*ct timeout set .*\n|^\tct timeout .*\{\n(?:.*\n)*?\t\}\n", "", body, flags=re.MULTILINE)]


def _body() -> str:
    return _timeouts() + _tracked_attempts() + _sets() + _forward() + _arriving() + _over_udp()


def _timeouts() -> str:
    text = ""
    for name, (protocol, policy) in _TIMEOUTS.items():
        for number, ip in _FAMILIES:
            lines = f"\t\tprotocol {protocol}\n\t\tl3proto {ip}\n\t\tpolicy = {{ {policy} }}\n"
            text += f"\tct timeout {name}_v{number} {{\n{lines}\t}}\n"
    return text


def _tracked_attempts() -> str:
    rate = tracking.attempts_per_second()
    return f"\tlimit {_TRACKED_ATTEMPTS} {{\n\t\trate over {rate}/second burst {3 * rate} packets\n\t}}\n"


def _sets() -> str:
    rated = {"hub_rate": "iifname"} | {f"{what}_v{n}": f"{ip} saddr" for what in _ATTEMPT_SETS for n, ip in _FAMILIES}
    rated |= {"listener_attempts": "udp dport", "plain_resets": "udp dport"}
    counted = {"hub_others": "iifname"}
    for number, ip in _FAMILIES:
        counted |= {
            f"hub_flows_v{number}": f"iifname . {ip} daddr . th sport",
            f"all_flows_v{number}": f"{ip} daddr . th sport",
        }
        counted[f"tcp_connections_v{number}"] = f"{ip} saddr"
    sets = "".join(f"\tset {name} {{\n\t\ttype inet_service\n\t}}\n" for name in _SETS)
    for flags, keys in (("dynamic,timeout\n\t\ttimeout 10s", rated), ("dynamic", counted)):
        for name, key in keys.items():
            sets += _set(name, key, _MOST_REMEMBERED, flags)
    for what, patience in _REMOTES.items():
        for number, key in _ARRIVING:
            sets += _set(f"{what}_v{number}", key, _MOST_REMOTES, f"dynamic,timeout\n\t\ttimeout {patience}")
    return sets


def _set(name: str, key: str, size: int, flags: str) -> str:
    return f"\tset {name} {{\n\t\ttypeof {key}\n\t\tsize {size}\n\t\tflags {flags}\n\t}}\n"


def _forward() -> str:
    """Return the chain for traffic that hubs send out through the host."""
    hub, every = tracking.list_of_hub(), tracking.list_of_all()
    lines = [
        _hook("forward"),
        f'iifname != "{HOSTLINK}*" accept',
        "ct status confirmed accept",
        f"update @hub_rate {{ iifname {_HUB_RATE} }} drop",
        *_timed("hub_tcp", "meta l4proto tcp "),
        f"{tracking.WITHOUT_PORTS} add @hub_others {{ iifname ct count over {_LISTS_OF_OTHERS * hub} }} drop",
        f"{tracking.WITHOUT_PORTS} accept",
    ]
    for number, flow in tracking.FLOW.items():
        lines += [
            f"add @hub_flows_v{number} {{ iifname . {flow} ct count over {hub} }} drop",
            f"add @all_flows_v{number} {{ {flow} ct count over {every} }} drop",
        ]
    return _chain("forward", lines)


def _arriving() -> str:
    """Return the chains for tracked traffic to the hubs' sockets."""
    translated = [
        *(f"update @attempts_v{n} {{ {key} {_ATTEMPTS} }} drop" for n, key in _SOURCES),
        f'limit name "{_TRACKED_ATTEMPTS}" drop',
    ]
    over_tcp = [
        *(f"update @tcp_attempts_v{n} {{ {key} {_TCP_ATTEMPTS} }} drop" for n, key in _SOURCES),
        *(f"add @tcp_connections_v{n} {{ {key} ct count over {_TCP_CONNECTIONS} }} drop" for n, key in _SOURCES),
        f"{_ALL_TCP_ATTEMPTS} drop",
    ]
    arriving = [
        _hook("input"),
        "ct status confirmed accept",
        "udp dport @udp_ports goto over_udp",
        "tcp dport @tcp_ports ct state new goto over_tcp",
    ]
    return (
        _chain("translated", translated)
        # All other UDP is limited before conntrack.
        + _chain("over_udp", [*_timed("attempts"), "ct status dnat goto translated"])
        + _chain("over_tcp", over_tcp)
        + _chain("input", arriving)
    )


def _over_udp() -> str:
    """Return the chains for UDP to and from the hubs' sockets, before conntrack."""
    begin = [
        f"{_PLAIN_RESET} update @plain_resets {{ udp dport {_PLAIN_RESETS} }} drop",
        *(f"update @attempts_v{n} {{ {key} {_ATTEMPTS} }} drop" for n, key in _SOURCES),
        f"update @listener_attempts {{ udp dport {_LISTENER_ATTEMPTS} }} drop",
        f'limit name "{_TRACKED_ATTEMPTS}" goto untracked',
    ]
    # Drop if the set is full: the replies would be tracked.
    untracked = [*(f"update @untracked_v{n} {{ {key} }} notrack accept" for n, key in _ARRIVING), "drop"]
    arriving = [
        _hook("prerouting", "raw"),
        # First, because most packets match. Only remotes of the hubs' ports are in these sets.
        *(f"{key} @answered_v{n} accept" for n, key in _ARRIVING),
        # Before the next rule, which no packet matches that is not UDP.
        "meta l4proto != udp accept",
        "udp dport != @udp_ports accept",
        "fib daddr type local goto begin",
    ]
    leaving = [
        _hook("output", "raw"),
        "udp sport != @udp_ports accept",
        *(f"update @answered_v{n} {{ {key} }}" for n, key in _LEAVING),
        *(f"{key} @untracked_v{n} notrack" for n, key in _LEAVING),
    ]
    return (
        _chain("untracked", untracked)
        + _chain("begin", begin)
        + _chain("arriving", arriving)
        + _chain("leaving", leaving)
    )


def _timed(name: str, match: str = "") -> list[str]:
    return [f'meta nfproto ipv{number} {match}ct timeout set "{name}_v{number}"' for number, _ in _FAMILIES]


def _hook(hook: str, priority: str = "filter + 10") -> str:
    return f"type filter hook {hook} priority {priority}; policy accept;"


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"
