"""Scripts for nft(8) that change the hub's table in one transaction, as text.

Base chains are never deleted: no packet may pass before the new chain exists. Counters are not deleted either, so that
they keep their values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from vpn.agent.firewall.flow_marks import BINDING, CURRENT
from vpn.agent.firewall.rules import Table, chains_text
from vpn.agent.firewall.sets import AddressSet
from vpn.agent.system.nft_listing import Listing

TABLE: Final = "hub"
_IT: Final = f"inet {TABLE}"
_HITS = Mapping[str, tuple[int, int]]


def whole(table: Table, flow_marks: Mapping[str, Collection[str]], hits: _HITS, there: bool) -> str:
    """Return the script that loads the whole table, after deleting one that is `there`. Counters start at `hits`."""
    before = f"table {_IT}\ndelete table {_IT}\n" if there else ""
    counters = "".join(_counter(name, hits) for name in table.counters)
    sets = "".join(_set(name, each) for name, each in table.sets.items())
    return f"{before}table {_IT} {{\n{sets}{table.maps}{counters}{chains_text(table.chains)}}}\n{_filled(flow_marks)}"


def renewed(table: Table, flow_marks: Mapping[str, Collection[str]], there: Listing) -> str:
    """Return the script that replaces the rules of the table `there`, and only those sets that differ.

    Foreign chains lose their rules here; `tidied` deletes them.
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
    # Existing counters keep their values.
    counters = "".join(_counter(name, {}) for name in table.counters)
    lines.append(f"table {_IT} {{\n{sets}{table.maps}{counters}{chains_text(table.chains)}}}")
    differing = {name: table.sets[name].elements for name in kept if table.sets[name].elements != there.elements[name]}
    return "\n".join(lines) + "\n" + replaced(differing) + _filled(flow_marks)


def tidied(table: Table, there: Listing) -> str:
    """Return the script that deletes unused chains and counters."""
    chains = [f"delete chain {_IT} {name}\n" for name in there.chains if name not in table.chains]
    counters = [f"delete counter {_IT} {name}\n" for name in sorted(there.counters - set(table.counters))]
    return "".join(chains + counters)


def replaced(elements: Mapping[str, Collection[str]]) -> str:
    """Return the script that replaces the elements of sets."""
    return "".join(f"flush set {_IT} {name}\n" for name in elements) + _filled(elements)


def remarked(flow_marks: Mapping[str, Collection[str]]) -> str:
    """Return the script that replaces the flow marks, so that every flow is evaluated again."""
    return f"flush set {_IT} {CURRENT}\nflush map {_IT} {BINDING}\n{_filled(flow_marks)}"


def changed(removed: Mapping[str, Iterable[str]], added: Mapping[str, Iterable[str]]) -> str:
    """Return the script that deletes elements from sets and adds others."""
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
