"""Draw static/images/icons.svg, the icons that pages refer to, from the package `heroicons`; --check compares it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from heroicons.templatetags import heroicons

ROOT = Path(__file__).resolve().parent.parent
SPRITE = ROOT / "static" / "images" / "icons.svg"
TAG = re.compile(r'{% heroicon_(\w+) "([\w-]+)"')
ROOM = re.compile(r'Room\(_\("[^"]+"\), "\w+", "([\w-]+)"')
# What a symbol takes over from the package's <svg>; the size is the page's.
KEPT = ("viewBox", "fill", "stroke", "stroke-width")


def sprite() -> str:
    """Return the file: one <symbol> for each icon, named by style and icon."""
    symbols = "\n".join(_symbol(style, name) for style, name in sorted(set(_used())))
    licence = "Heroicons, copyright (c) Tailwind Labs, Inc., MIT licence. Drawn by .ci/icons.py."
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n<!-- {licence} -->\n{symbols}\n</svg>\n'


def main() -> int:
    """Write the file, or return 1 if it differs."""
    if "--check" not in sys.argv[1:]:
        SPRITE.write_text(sprite())
        return 0
    is_right = SPRITE.exists() and SPRITE.read_text() == sprite()
    if not is_right:
        print("Templates refer to other icons than static/images/icons.svg has: run .ci/icons.py")
    return int(not is_right)


def _used() -> Iterator[tuple[str, str]]:
    """Every style and name in templates, and the icons of the navigation."""
    for path in ROOT.glob("templates/**/*.html"):
        yield from TAG.findall(path.read_text())
    for name in ROOM.findall((ROOT / "portal" / "web" / "navigation.py").read_text()):
        yield "outline", name


def _symbol(style: str, name: str) -> str:
    drawn = ET.fromstring(getattr(heroicons, f"heroicon_{style}")(name))  # noqa: S314 - of a package
    symbol = ET.Element(
        "symbol", {"id": f"{style}-{name}", **{key: drawn.attrib[key] for key in KEPT if key in drawn.attrib}}
    )
    symbol.extend(drawn)
    return re.sub(r"\s*\n\s*", "", ET.tostring(symbol, encoding="unicode"))


if __name__ == "__main__":
    sys.exit(main())
