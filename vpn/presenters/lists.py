"""Lists in sentences: "a, b and c"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from portal.figures import grouped

# Longer lists of names end in "and 12 others".
MOST_NAMES = 4


def joined(parts: Sequence[str]) -> str:
    """All parts as a list in a sentence."""
    *first, last = parts
    return _("%(parts)s and %(last)s") % {"parts": ", ".join(first), "last": last} if first else last


def linked(links: Iterable[tuple[str, str]]) -> SafeString:
    """The same of links, each an address and its words, as HTML."""
    return SafeString(joined([format_html('<a class="link" href="{}">{}</a>', *link) for link in links]))


def shortened(names: Sequence[str]) -> str:
    """Names as a list in a sentence; more than MOST_NAMES are cut short."""
    if len(names) <= MOST_NAMES:
        return joined(names)
    first = names[: MOST_NAMES - 1]
    return joined([*first, _("%(count)s others") % {"count": grouped(len(names) - len(first))}])
