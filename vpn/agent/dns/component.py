"""The hub's resolver: dnsmasq on the hub's tunnel addresses, inside its namespace.

Names, addresses and upstream servers are reloaded without losing a query. Another domain, other listen addresses, a
CNAME or a split domain need a restart. A query that arrives during the restart is answered when the client retries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from vpn.agent.dns import config as resolver_config
from vpn.agent.dns import process as resolver_process
from vpn.agent.dns.config import Layout
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import RESOLVER, Names
from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec

# dnsmasq compares each address that it reloads with all that it knows. Above this number of comparisons (about half a
# second), a restart is faster.
_MOST_COMPARISONS: Final = 40_000_000


def check(hub: Hub, spec: HubSpec) -> None:
    """Raise AgentError if the resolver must restart but cannot start. The running one is not stopped yet."""
    if spec.resolver is None:
        return
    layout = Layout(hub.dns).checked()
    digest = resolver_config.digest(resolver_config.configuration(layout, spec, spec.resolver))
    if not resolver_process.is_current(hub.names, layout, digest):
        resolver_process.require()


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the resolver match `spec`; return True if anything changed."""
    if spec.resolver is None:
        return remove(hub)
    names, layout = hub.names, Layout(hub.dns).checked()
    _ensure_directories(names, layout)
    config = resolver_config.configuration(layout, spec, spec.resolver)
    digest = resolver_config.digest(config)
    wanted = resolver_config.hosts(spec, spec.resolver)
    there = _read(layout.hosts)
    unlike = {name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name)}
    runs = resolver_process.is_current(names, layout, digest) and not _takes_long(wanted, unlike)
    if not runs and not hub.is_new:
        resolver_process.stop(layout)
    changed = files.ensure(layout.config, config, files.SHARED)
    asks_others = files.ensure(layout.servers, resolver_config.servers(spec, spec.resolver), files.SHARED)
    _write(layout, wanted, unlike)
    if not runs:
        resolver_process.start(names, layout, digest)
    elif asks_others:
        resolver_process.reload(layout)
    return changed or asks_others or bool(unlike) or not runs


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Replace the names of the peers `before` by those of `after`, as in `spec`; return True if they differ."""
    if spec.resolver is None:
        return False
    concerned = {
        address
        for peer_id in before.keys() | after.keys()
        for address in _named(before.get(peer_id)) ^ _named(after.get(peer_id))
    }
    buckets = {resolver_config.bucket_of(address) for _, address in concerned}
    if not buckets:
        return False
    layout = Layout(hub.dns)
    wanted = resolver_config.hosts(spec, spec.resolver, buckets)
    if _takes_long(wanted, wanted):
        return ensure(hub, spec)
    _write(layout, wanted, {f"{bucket:02x}" for bucket in buckets})
    return True


def with_servers_of(spec: HubSpec, before: HubSpec | None) -> HubSpec:
    """Return `spec` with the upstream servers of `before` added to its own.

    The firewall allows both until the resolver has reloaded. Otherwise queries to the old servers would be refused.
    """
    if spec.resolver is None or before is None or before.resolver is None:
        return spec
    known = {*spec.resolver.upstreams, *spec.resolver.domain_servers}
    more = [server for server in (*before.resolver.upstreams, *before.resolver.domain_servers) if server not in known]
    if not more:
        return spec
    upstreams = (*spec.resolver.upstreams, *dict.fromkeys(more))
    return replace(spec, resolver=replace(spec.resolver, upstreams=upstreams))


def drift(names: Names, spec: HubSpec, directory: Path) -> list[Finding]:
    """Return how the resolver differs from `spec`. `ensure` repairs it."""
    layout = Layout(directory)
    if spec.resolver is None:
        return [codes.DNS_UNWANTED.of()] if directory.exists() else []
    config = resolver_config.configuration(layout, spec, spec.resolver)
    wanted, there = resolver_config.hosts(spec, spec.resolver), _read(layout.hosts)
    found = []
    if files.read_text(layout.config) != config:
        found.append(codes.DNS_SETTINGS_CHANGED.of())
    if resolver_process.from_pid_file(layout) and not resolver_process.is_current(
        names, layout, resolver_config.digest(config)
    ):
        found.append(codes.DNS_PROCESS_OUTDATED.of())
    if files.read_text(layout.servers) != resolver_config.servers(spec, spec.resolver):
        found.append(codes.DNS_SERVERS_CHANGED.of())
    found += [codes.DNS_FILE_ADDED.of(name) for name in sorted(there.keys() - wanted.keys())]
    return found + _differing_names(wanted, there)


def is_alive(hub: Hub) -> bool:
    """Return True if the configured resolver runs, or if none is configured."""
    layout = Layout(hub.dns)
    return not layout.config.exists() or resolver_process.from_pid_file(layout) is not None


def stop(hub: Hub) -> bool:
    """Stop the resolver's process; return True if there was one."""
    return hub.dns.exists() and resolver_process.stop(Layout(hub.dns))


def remove(hub: Hub) -> bool:
    """Remove the resolver and its files; return True if there were any. Calling it twice is harmless."""
    if not hub.dns.exists():
        return False
    stop(hub)
    files.remove_tree(hub.dns)
    return True


def _ensure_directories(names: Names, layout: Layout) -> None:
    """Create the directories that the resolver reads."""
    user = names.user(RESOLVER)
    directories = (layout.directory, layout.hosts)
    for directory in directories:
        files.private_directory(directory)
    if not all(files.is_shared(directory, user) for directory in directories):
        files.share(layout.directory, user)


def _named(peer: Peer | None) -> set[tuple[tuple[str, ...], str]]:
    """Return a peer's addresses, each with its names."""
    if peer is None or not peer.names:
        return set()
    return {(peer.names, address) for address in resolver_config.addresses(peer)}


def _read(directory: Path) -> dict[str, str | None]:
    """Return the content of each hosts file by its name; None for an entry that is not a file."""
    try:
        paths = list(directory.iterdir())
    except FileNotFoundError:
        return {}
    return {path.name: files.read_text(path) if path.is_file() else None for path in paths}


def _write(layout: Layout, wanted: Mapping[str, str], names: Collection[str]) -> None:
    """Write the files `names` with the wanted content, and delete those without any."""
    for name in names:
        path = layout.hosts / name
        if name in wanted:
            files.ensure(path, wanted[name], files.SHARED)
        elif path.is_dir() and not path.is_symlink():
            files.remove_tree(path)
        else:
            path.unlink(missing_ok=True)


def _takes_long(wanted: Mapping[str, str], unlike: Collection[str]) -> bool:
    """Return True if reloading the files `unlike` takes longer than a restart."""
    lines = {name: text.count("\n") for name, text in wanted.items()}
    return sum(lines.values()) * sum(lines.get(name, 0) for name in unlike) > _MOST_COMPARISONS


def _differing_names(wanted: Mapping[str, str], there: Mapping[str, str | None]) -> list[Finding]:
    found = []
    for file in sorted(wanted):
        right, now = (set((text or "").splitlines()) for text in (wanted[file], there.get(file)))
        found += [codes.DNS_NAME_ADDED.of(_name_in(line)) for line in sorted(now - right)]
        found += [codes.DNS_NAME_MISSING.of(_name_in(line)) for line in sorted(right - now)]
    return found


def _name_in(line: str) -> str:
    """Return the address and the first name in a line of hosts(5)."""
    return "=".join(line.split()[:2])
