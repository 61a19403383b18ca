"""`make messages`: take marked texts into every catalogue, drop those that are gone, and say how many are missing."""

from __future__ import annotations

import polib

from tests.messages.catalogue import catalogues, is_translated, update


def main() -> None:
    """Rewrite each catalogue, and print one line about it."""
    for path in catalogues():
        catalogue = update(polib.pofile(str(path), wrapwidth=100))
        catalogue.save(str(path))
        done = sum(map(is_translated, catalogue))
        print(f"{path.parts[-3]}: {done} of {len(catalogue)} texts are translated")


if __name__ == "__main__":
    main()
