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


def new_sets(table: Table, there: Listing) -> str:
    """Return the script that adds those sets of the table that are not `there`; empty if none is new."""
    new = "".join(_set(name, each) for name, each in table.sets.items() if name not in there.declarations)
    return f"table {_IT} {{\n{new}}}\n" if new else ""


def renewed(table: Table, flow_marks: Mapping[str, Collection[str]], there: Listing) -> str:
    """Return the script that replaces the rules of the table `there`, and changes what differs in its sets.

    `new_sets` comes before it. Foreign chains lose their rules here; `tidied` deletes them.
    """
    other = {
        name
        for name, declaration in there.declarations.items()
        if name not in table.sets or declaration != table.sets[name].declaration
    }
    lines = [f"table {_IT} {{", *(f"\tchain {name} {{\n{hook}\t}}" for name, (hook, _) in table.chains.items()), "}"]
    lines.append(f"flush table {_IT}")
    lines += [f"delete {'map' if name in there.maps else 'set'} {_IT} {name}" for name in sorted(other)]
    sets = "".join(_set(name, each) for name, each in table.sets.items() if name in other)
    # Existing counters keep their values.
    counters = "".join(_counter(name, {}) for name in table.counters)
    lines.append(f"table {_IT} {{\n{sets}{table.maps}{counters}{chains_text(table.chains)}}}")
    return "\n".join(lines) + "\n" + corrected(table, there, there.elements.keys() - other) + _filled(flow_marks)


def tidied(table: Table, there: Listing) -> str:
    """Return the script that deletes unused chains and counters."""
    chains = [f"delete chain {_IT} {name}\n" for name in there.chains if name not in table.chains]
    counters = [f"delete counter {_IT} {name}\n" for name in sorted(there.counters - set(table.counters))]
    return "".join(chains + counters)


def corrected(table: Table, there: Listing, names: Iterable[str]) -> str:
    """Return the script that changes the sets `names` from the elements `there` to those of the table."""
    pairs = {name: (there.elements[name], table.sets[name].elements) for name in names}
    return changed(
        {name: old - new for name, (old, new) in pairs.items()}, {name: new - old for name, (old, new) in pairs.items()}
    )


def replaced(elements: Mapping[str, Collection[str]]) -> str:
    """Return the script that replaces the elements of sets, whatever another program added to them.

    For a moment after the transaction, newer kernels find none of the ranges.
    """
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
