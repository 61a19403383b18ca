"""What hubs may have of the host's memory of connections, which they share with each other and with the host itself.

The kernel remembers `nf_conntrack_max` connections for a namespace (262,144 as a rule). When that is full, every new
one is dropped: another hub's, a peer's first packet, and the operator's SSH. So a hub has an eighth
of it at most, all hubs together three quarters, and what knocks at their sockets without an answer an eighth: it is
forgotten soon.

Packets of the tunnels themselves are tracked as long as knocks are few. Untracked for good, they would be dropped by a
host's own chains that let in `ct state new` or `established` alone (tried with `notrack` both ways on the strict host
of tests/network/test_limits.py: no handshake gets through). Answers would leave untranslated, too, where the host
redirects a port to a hub's.

Knocks over UDP that the table has no room for are not tracked, and neither are the answers to them: newcomers among
them are heard. Who was answered lately is known by a set of the table, and passes these limits by. What hubs send on is
tracked because the host masquerades it, and what comes over TCP because the limits count connections.

The table `inet vpnhub_limits` limits knocks over UDP before they are tracked. All else it looks at after the host's own
rules, and drops only what they have let pass. Hubs of another portal on the same host have their ports in it, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from vpn.agent.firewall import tracking
from vpn.agent.memory.names import HOSTLINK
from vpn.agent.system import nft
from vpn.agent.system.command import Place, Result
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding

TABLE: Final = "vpnhub_limits"
# By the name of a set, where the ports in it stand in a hub's source.
_SETS: Final = {"udp_ports": "ports", "tcp_ports": "tcp_ports"}
_PORT: Final = re.compile(r'(\d+) comment "([a-z0-9]+)"')

_MOST_REMEMBERED: Final = 65536
_FAMILIES: Final = ((4, "ip"), (6, "ip6"))
# A site with one IPv6 address has a /64 of them.
_SOURCES: Final = ((4, "ip saddr"), (6, "ip6 saddr & ffff:ffff:ffff:ffff::"))
_KNOCKED: Final = ("knocks", "tcp_knocks")
# Who speaks with a listener over UDP, from where it is reached to the listener.
_ARRIVING: Final = ((4, "ip saddr . udp sport . udp dport"), (6, "ip6 saddr . udp sport . udp dport"))
_LEAVING: Final = ((4, "ip daddr . udp dport . udp sport"), (6, "ip6 daddr . udp dport . udp sport"))
_SPEAKERS: Final = {"answered": "3m", "untracked": "10s"}  # for how long they are remembered
_MOST_SPEAKERS: Final = 262_144

# New connections a second: of one hub, of one address that knocks (a /64 of IPv6), and of all of them. Many devices may
# be behind one address, and all come back after a restart.
_HUB_PACE: Final = "limit rate over 2000/second burst 8000 packets"
_KNOCKS: Final = "limit rate over 100/second burst 1000 packets"
# Of one listener: that many take a seventh of a processor's time with OpenVPN 2.6 (measured).
_LISTENER_KNOCKS: Final = "limit rate over 10000/second burst 10000 packets"
# A reset of an OpenVPN client before 2.6 (opcode 10, and a packet id that promises no cookie: EARLY_NEG_START in
# ssl_pkt.h) has the listener keep a session of 200 kB at once, for whatever address it claims to come from.
_PLAIN_RESET: Final = "@th,64,8 0x50 @th,136,8 != 0x0f"
_PLAIN_RESETS: Final = "limit rate over 10/second burst 200 packets"
# A connection that shows no key is a process's memory until its time for a handshake is over.
_TCP_KNOCKS: Final = "limit rate over 3/second burst 60 packets"
_ALL_TCP_KNOCKS: Final = "limit rate over 100/second burst 1000 packets"
_TCP_CONNECTIONS: Final = 1024  # of one address
# Connections without ports have no bits to be shared out by: one list, as long as eight, an eighth of a hub's share.
_LISTS_OF_OTHERS: Final = 8

# In seconds, as in a hub's own namespace (see `tracking`); these are for the hubs' connections alone.
_TIMEOUTS: Final = {
    "hub_tcp": ("tcp", "established : 7440, syn_sent : 30, syn_recv : 30, fin_wait : 60, time_wait : 30"),
    "knocks": ("udp", "unreplied : 10, replied : 180"),
}
_WITH_ROOM: Final = "knocks_with_room"

Ports = dict[str, set[tuple[str, str]]]  # (port, hub) by the name of the set


def ensure(host: Place, sources: Mapping[str, Any], hubs: Collection[str], marks: dict[str, str]) -> bool:
    """Make the limits hold for the ports in `sources`, by hub; return whether they did not.

    `hubs` are all of this agent's: the ports of others stay.
    """
    listing = _listed(host)
    there = _there(host) if listing.code == 0 else {name: set() for name in _SETS}
    wanted = {name: {each for each in there[name] if each[1] not in hubs} | _ports(sources, name) for name in _SETS}
    if _is_loaded(listing, marks):
        if there == wanted:
            return False
        nft.run(host, "".join(f"flush set inet {TABLE} {name}\n" for name in _SETS) + _filled(wanted))
        return True
    before = f"table inet {TABLE}\ndelete table inet {TABLE}\n" if "No such file" not in listing.err else ""
    body = _load(host, before, wanted)
    marks[TABLE] = nft.mark(body, _listed(host).out)
    return True


def drift(host: Place, marks: Mapping[str, str]) -> list[Finding]:
    """Return what was changed of the limits."""
    return [] if _is_loaded(_listed(host), marks) else [codes.LIMITS_HOST_CHANGED.of()]


def _is_loaded(listing: Result, marks: Mapping[str, str]) -> bool:
    return listing.code == 0 and any(marks.get(TABLE) == nft.mark(body, listing.out) for body in _bodies())


def _load(host: Place, before: str, ports: Ports) -> str:
    """Load the table and return the body that the kernel took."""
    *better, last = _bodies()
    for body in better:
        with suppress(AgentError):
            nft.run(host, f"{before}table inet {TABLE} {{\n{body}}}\n{_filled(ports)}")
            return body
    nft.run(host, f"{before}table inet {TABLE} {{\n{last}}}\n{_filled(ports)}")
    return last


def _listed(host: Place) -> Result:
    # Without what it remembers, which comes and goes.
    return nft.list_without_elements(host, TABLE)


def _there(host: Place) -> Ports:
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
    return _timeouts() + _knocks_with_room() + _sets() + _forward() + _knocking() + _over_udp()


def _timeouts() -> str:
    text = ""
    for name, (protocol, policy) in _TIMEOUTS.items():
        for number, ip in _FAMILIES:
            lines = f"\t\tprotocol {protocol}\n\t\tl3proto {ip}\n\t\tpolicy = {{ {policy} }}\n"
            text += f"\tct timeout {name}_v{number} {{\n{lines}\t}}\n"
    return text


def _knocks_with_room() -> str:
    pace = tracking.knocks_a_second()
    return f"\tlimit {_WITH_ROOM} {{\n\t\trate over {pace}/second burst {3 * pace} packets\n\t}}\n"


def _sets() -> str:
    paced = {"hub_pace": "iifname"} | {f"{what}_v{n}": f"{ip} saddr" for what in _KNOCKED for n, ip in _FAMILIES}
    paced |= {"listener_knocks": "udp dport", "plain_resets": "udp dport"}
    counted = {"hub_others": "iifname"}
    for number, ip in _FAMILIES:
        counted |= {
            f"hub_flows_v{number}": f"iifname . {ip} daddr . th sport",
            f"all_flows_v{number}": f"{ip} daddr . th sport",
        }
        counted[f"tcp_connections_v{number}"] = f"{ip} saddr"
    sets = "".join(f"\tset {name} {{\n\t\ttype inet_service\n\t}}\n" for name in _SETS)
    for flags, keys in (("dynamic,timeout\n\t\ttimeout 10s", paced), ("dynamic", counted)):
        for name, key in keys.items():
            sets += _set(name, key, _MOST_REMEMBERED, flags)
    for what, patience in _SPEAKERS.items():
        for number, key in _ARRIVING:
            sets += _set(f"{what}_v{number}", key, _MOST_SPEAKERS, f"dynamic,timeout\n\t\ttimeout {patience}")
    return sets


def _set(name: str, key: str, size: int, flags: str) -> str:
    return f"\tset {name} {{\n\t\ttypeof {key}\n\t\tsize {size}\n\t\tflags {flags}\n\t}}\n"


def _forward() -> str:
    """Return the chain for what hubs send on."""
    hub, every = tracking.list_of_hub(), tracking.list_of_all()
    lines = [
        _hook("forward"),
        f'iifname != "{HOSTLINK}*" accept',
        "ct status confirmed accept",
        f"update @hub_pace {{ iifname {_HUB_PACE} }} drop",
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


def _knocking() -> str:
    """Return the chains for what comes to the hubs' sockets from outside, and is tracked."""
    translated = [
        *(f"update @knocks_v{n} {{ {key} {_KNOCKS} }} drop" for n, key in _SOURCES),
        f'limit name "{_WITH_ROOM}" drop',
    ]
    over_tcp = [
        *(f"update @tcp_knocks_v{n} {{ {key} {_TCP_KNOCKS} }} drop" for n, key in _SOURCES),
        *(f"add @tcp_connections_v{n} {{ {key} ct count over {_TCP_CONNECTIONS} }} drop" for n, key in _SOURCES),
        f"{_ALL_TCP_KNOCKS} drop",
    ]
    arriving = [
        _hook("input"),
        "ct status confirmed accept",
        "udp dport @udp_ports goto over_udp",
        "tcp dport @tcp_ports ct state new goto over_tcp",
    ]
    return (
        _chain("translated", translated)
        # The others are limited before they are tracked.
        + _chain("over_udp", [*_timed("knocks"), "ct status dnat goto translated"])
        + _chain("over_tcp", over_tcp)
        + _chain("input", arriving)
    )


def _over_udp() -> str:
    """Return the chains for what comes to sockets over UDP and leaves them, before it is tracked."""
    begin = [
        f"{_PLAIN_RESET} update @plain_resets {{ udp dport {_PLAIN_RESETS} }} drop",
        *(f"update @knocks_v{n} {{ {key} {_KNOCKS} }} drop" for n, key in _SOURCES),
        f"update @listener_knocks {{ udp dport {_LISTENER_KNOCKS} }} drop",
        f'limit name "{_WITH_ROOM}" goto untracked',
    ]
    # A set that is full takes no more: their answers would be tracked.
    untracked = [*(f"update @untracked_v{n} {{ {key} }} notrack accept" for n, key in _ARRIVING), "drop"]
    arriving = [
        _hook("prerouting", "raw"),
        "udp dport != @udp_ports accept",
        *(f"{key} @answered_v{n} accept" for n, key in _ARRIVING),
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
