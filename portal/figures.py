"""Numbers as the reader's language writes them."""

from __future__ import annotations

from functools import cache

from django.utils.formats import get_format
from django.utils.translation import get_language


def grouped(count: int) -> str:
    """A count with the thousands apart: 5000 is "5,000" in English, and "5.000" in German."""
    return f"{count:,}".replace(",", _format("THOUSAND_SEPARATOR", get_language()))


def decimal(value: float, places: int = 1) -> str:
    """A number with that many decimal places: 1.5 is "1.5" in English, and "1,5" in German."""
    return f"{value:.{places}f}".replace(".", _format("DECIMAL_SEPARATOR", get_language()))


@cache
def _format(name: str, language: str | None) -> str:
    """What Django says of a language. Pages ask a thousand times, and asking Django takes ten times as long."""
    return str(get_format(name, language))
