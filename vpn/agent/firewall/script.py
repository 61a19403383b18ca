"""What nft(8) is told to make a table what it should be, in one transaction: pure text.

Base chains are never deleted: a packet would meet their policy before their successors are there. Nor are counters, for
the sake of what they counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from vpn.agent.firewall.generation import BINDING, CURRENT
from vpn.agent.firewall.rules import Table, chains_text
from vpn.agent.firewall.sets import AddressSet
from vpn.agent.system.nft_listing import Listing

TABLE: Final = "hub"
_IT: Final = f"inet {TABLE}"
_HITS = Mapping[str, tuple[int, int]]


def whole(table: Table, generation: Mapping[str, Collection[str]], hits: _HITS, there: bool) -> str:
    """Return how to load the table from nothing, or instead of whatever is there; counters begin with `hits`."""
    before = f"table {_IT}\ndelete table {_IT}\n" if there else ""
    counters = "".join(_counter(name, hits) for name in table.counters)
    sets = "".join(_set(name, each) for name, each in table.sets.items())
    return f"{before}table {_IT} {{\n{sets}{table.maps}{counters}{chains_text(table.chains)}}}\n{_filled(generation)}"


def renewed(table: Table, generation: Mapping[str, Collection[str]], there: Listing) -> str:
    """Return how to turn the table that is `there` into another one, touching only those sets that differ.

    What else is there (see `tidied`) loses its rules, and no more.
    """
    kept = {name for name, each in table.sets.items() if there.declarations.get(name) == each.declaration}
    lines = [f"table {_IT} {{", *(f"\tchain {name} {{\n{hook}\t}}" for name, (hook, _) in table.chains.items()), "}"]
    lines.append(f"flush table {_IT}")
    lines += [
        f"delete {'map' if name in there.maps else 'set'} {_IT} {name}"
        for name in there.declarations
        if name not in kept
    ]
    sets = "".join(_set(name, each) for name, each in table.sets.items() if name not in kept)
    # Those that are there already go on counting.
    counters = "".join(_counter(name, {}) for name in table.counters)
    lines.append(f"table {_IT} {{\n{sets}{table.maps}{counters}{chains_text(table.chains)}}}")
    differing = {name: table.sets[name].elements for name in kept if table.sets[name].elements != there.elements[name]}
    return "\n".join(lines) + "\n" + replaced(differing) + _filled(generation)


def tidied(table: Table, there: Listing) -> str:
    """Return how to delete the chains and counters that nothing needs any more."""
    chains = [f"delete chain {_IT} {name}\n" for name in there.chains if name not in table.chains]
    counters = [f"delete counter {_IT} {name}\n" for name in sorted(there.counters - set(table.counters))]
    return "".join(chains + counters)


def replaced(elements: Mapping[str, Collection[str]]) -> str:
    """Return how to give sets other elements."""
    return "".join(f"flush set {_IT} {name}\n" for name in elements) + _filled(elements)


def regenerated(generation: Mapping[str, Collection[str]]) -> str:
    """Return how to begin a new generation."""
    return f"flush set {_IT} {CURRENT}\nflush map {_IT} {BINDING}\n{_filled(generation)}"


def changed(removed: Mapping[str, Iterable[str]], added: Mapping[str, Iterable[str]]) -> str:
    """Return how to take elements out of sets and to put others in."""
    return _filled({name: list(each) for name, each in removed.items()}, "delete") + _filled(
        {name: list(each) for name, each in added.items()}
    )


def _filled(elements: Mapping[str, Collection[str]], verb: str = "add") -> str:
    return "".join(
        f"{verb} element {_IT} {name} {{ {', '.join(sorted(each))} }}\n" for name, each in elements.items() if each
    )


def _set(name: str, each: AddressSet) -> str:
    elements = f"\t\telements = {{ {', '.join(sorted(each.elements))} }}\n" if each.elements else ""
    return f"\tset {name} {{\n{each.declaration}{elements}\t}}\n"


def _counter(name: str, hits: _HITS) -> str:
    packets, size = hits.get(name, (0, 0))
    return f"\tcounter {name} {{ packets {packets} bytes {size} }}\n"
