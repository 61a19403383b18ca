"""Limits per peer for conntrack entries and DNS queries: loads the table that `limit_rules` describes.

The table is separate, so that comparing the other tables does not read its many elements.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from vpn.agent.firewall import limit_rules
from vpn.agent.firewall.delta import former_peers
from vpn.agent.firewall.limit_rules import MAPS, TABLE
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import Names
from vpn.agent.system import nft, nft_listing
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the limits match `spec`; return True if the table was loaded again."""
    names, fingerprints = hub.names, hub.fingerprints
    body, wanted = limit_rules.body(names, spec), limit_rules.elements(spec)
    is_new = hub.lacks_table(TABLE)
    if not is_new and _is_loaded(names, body, fingerprints):
        # Not reported as a change: these networks change with the routes, which are reported.
        _ensure_maps(names, wanted)
        return False
    there = not is_new and ("inet", TABLE) in nft.tables(names.inside)
    before = f"table inet {TABLE}\ndelete table inet {TABLE}\n" if there else ""
    nft.run(names.inside, f"{before}table inet {TABLE} {{\n{body}}}\n{_filled(wanted)}")
    # Alone: traffic has added nothing yet, and a list of the other tables has every rule of the hub.
    listing = names.inside.run([nft.PROGRAM, "-s", "-t", "list", "table", "inet", TABLE])
    fingerprints[TABLE] = nft.fingerprint(body, listing)
    return True


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> None:
    """Update the maps for peers that changed from `before` to `after` in `spec`."""
    if not (limit_rules.has_networks(before) or limit_rules.has_networks(after)):
        return
    former = replace(spec, peers=former_peers(spec.peers, before, after))
    old, new = limit_rules.elements(former), limit_rules.elements(spec)
    script = _filled({name: old[name] - new[name] for name in MAPS}, "delete")
    script += _filled({name: new[name] - old[name] for name in MAPS})
    try:
        nft.run(hub.names.inside, script)
    except AgentError:
        # Another program changed the maps: load them again.
        _ensure_maps(hub.names, new)


def drift(names: Names, spec: HubSpec, fingerprints: Mapping[str, str]) -> list[Finding]:
    """Return how the limits differ from `spec`."""
    if not _is_loaded(names, limit_rules.body(names, spec), fingerprints):
        return [codes.LIMITS_CHANGED.of()]
    if _mapped(names) != limit_rules.elements(spec):
        return [codes.LIMITS_NETWORKS_CHANGED.of()]
    return []


def _is_loaded(names: Names, body: str, fingerprints: Mapping[str, str]) -> bool:
    if not nft.is_meant(TABLE, body, fingerprints):
        return False
    # Without elements: the kernel adds and expires them.
    listing = nft.list_without_elements(names.inside, TABLE)
    return listing.code == 0 and fingerprints[TABLE] == nft.fingerprint(body, listing.out)


def _ensure_maps(names: Names, wanted: Mapping[str, Collection[str]]) -> None:
    if _mapped(names) != wanted:
        flushed = "".join(f"flush map inet {TABLE} {name}\n" for name in MAPS)
        nft.run(names.inside, flushed + _filled(wanted))


def _filled(elements: Mapping[str, Collection[str]], verb: str = "add") -> str:
    filled = {name: ", ".join(sorted(each)) for name, each in elements.items() if each}
    return "".join(f"{verb} element inet {TABLE} {name} {{ {each} }}\n" for name, each in filled.items())


def _mapped(names: Names) -> dict[str, frozenset[str]]:
    # One by one: of several maps in one call, nft 1.0.6 lists only the last.
    listed = [names.inside.try_run([nft.PROGRAM, "-s", "list", "map", "inet", TABLE, name]).out for name in MAPS]
    return nft_listing.parse("".join(listed)).elements
