"""Conversion of names to plain ASCII text and to DNS labels (RFC 1123)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

LABEL_LENGTH: Final = 63

# Names that programs query automatically, or that resolvers treat specially (RFC 6761). No peer or member gets one.
RESERVED_LABELS: Final = frozenset(
    ["alt", "arpa", "broadcasthost", "invalid", "isatap", "local", "localdomain", "localhost", "onion", "wpad"]
)

# Letters that Unicode does not decompose into a base letter and a mark.
_TRANSLITERATION: Final = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D"}
    | {
        "ł": "l",
        "Ł": "L",
        "þ": "th",
        "Þ": "Th",
        "ð": "d",
        "Ð": "D",
        "\u0131": "i",
        "\u2013": "-",
        "\u2014": "-",
        "\u2019": "'",
    }
)


def ascii_text(text: str) -> str:
    """Return `text` as one line of printable ASCII, because QR readers guess the encoding of other text wrongly.

    Accents and umlauts lose their marks, other characters are dropped, and white space becomes single spaces.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_TRANSLITERATION))
    spaced = (" " if character.isspace() else character for character in decomposed)
    return " ".join("".join(c for c in spaced if c.isascii() and c.isprintable()).split())


def dns_label(text: str, *, fallback: str, longest: int = LABEL_LENGTH) -> str:
    """Return `text` as one DNS label, such as anna-muller; `fallback` if no character can be kept."""
    plain = ascii_text(text).lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:longest].strip("-") or fallback


def free_label(wanted: str, taken: Collection[str], *, longest: int = LABEL_LENGTH) -> str:
    """Return the first of `wanted`, `wanted-2`, `wanted-3`, … that is neither in `taken` nor reserved."""
    number, candidate = 1, wanted
    while candidate in taken or candidate in RESERVED_LABELS:
        number += 1
        suffix = f"-{number}"
        candidate = wanted[: longest - len(suffix)].rstrip("-") + suffix
    return candidate
