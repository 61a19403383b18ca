"""Compile a catalogue of translations: `.ci/catalogue.py FROM.po TO.mo`. Needs no Django and no gettext programs."""

from __future__ import annotations

import sys
from pathlib import Path

import polib


def main() -> None:
    """Compile, and replace the target at once: a portal that runs may be reading it."""
    source, target = sys.argv[1:]
    made = Path(f"{target}.new")
    polib.pofile(source).save_as_mofile(str(made))
    made.replace(target)


if __name__ == "__main__":
    main()
