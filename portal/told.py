"""Sentences that rows keep: a code and its values, put into the reader's words when they are shown.

Rows from before have the English sentence itself, which is shown as it is. Programs get English.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from portal.figures import grouped

# A text with placeholders; one of ngettext_lazy counts by the value `count`. Or a function of the values.
Words = Promise | Callable[[Mapping[str, Any]], str]
# What a row keeps: `code` and the values as JSON.
Told = dict[str, Any]

# Limits of a list of names: how many, and how many characters of each.
MOST_NAMES: Final = 3
_NAME_LENGTH: Final = 40

_WORDS: Final[dict[str, Words]] = {}


def register(words: Mapping[str, Words]) -> None:
    """Add the words of codes. An app does it when its models are ready."""
    _WORDS.update(words)


def told(code: str, **values: Any) -> Told:
    """A sentence as rows keep it. The values are JSON: texts, numbers, or names that are listed."""
    return {"code": code, **values}


def told_names(code: str, names: Sequence[str], count: int | None = None, *, most: int = MOST_NAMES) -> Told:
    """The same about some names, of which the first are kept with the number of all."""
    return told(code, names=[_cut(name) for name in names[:most]], count=len(names) if count is None else count)


def in_words(kept: Any) -> str:
    """The sentence in the active language; one from before, and one of a later version, as it is."""
    if not isinstance(kept, dict):
        return str(kept)
    words = _WORDS.get(str(kept.get("code")))
    if words is None:
        return str(kept.get("code", ""))
    if not isinstance(words, Promise):
        return words(kept)
    values = {name: _shown(kept, value) for name, value in kept.items()}
    return str(words % values)


def joined_words(kept: Any) -> str:
    """One sentence, or several after each other, in words."""
    return " ".join(in_words(one) for one in kept) if isinstance(kept, list) else in_words(kept)


def sentences(kept: Any) -> Any:
    """A value of a row, such as a list, with all sentences in it in words."""
    if isinstance(kept, dict) and "code" in kept:
        return in_words(kept)
    if isinstance(kept, dict):
        return {name: sentences(value) for name, value in kept.items()}
    return [sentences(value) for value in kept] if isinstance(kept, list) else kept


def as_text(kept: Told | str, most: int) -> str:
    """A sentence for a column of text with `most` characters; what is longer is kept as the sentence's beginning."""
    text = kept if isinstance(kept, str) else json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    if len(text) <= most:
        return text
    with translation.override(settings.LANGUAGE_CODE):
        return in_words(kept)[:most]


def from_text(text: str) -> Told | str:
    """What `as_text` kept."""
    if not text.startswith('{"code":'):
        return text
    try:
        kept: Told = json.loads(text)
    except ValueError:
        return text
    return kept


def text_in_words(text: str) -> str:
    """The sentence of a column of text; one from before as it is."""
    return in_words(from_text(text))


def listed_names(names: Sequence[str], count: int | None = None, *, most: int = MOST_NAMES) -> str:
    """The first names and how many more there are: "a, b, c and 4 more".

    `count` is their number where not all of them are given.
    """
    shown = [_cut(name) for name in names[:most]]
    more = (len(names) if count is None else count) - len(shown)
    if more:
        words = _("%(names)s and %(more)s more") if shown else "%(more)s"
        return words % {"names": ", ".join(shown), "more": grouped(more)}
    if len(shown) < 2:
        return "".join(shown)
    return _("%(parts)s and %(last)s") % {"parts": ", ".join(shown[:-1]), "last": shown[-1]}


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _shown(kept: Told, value: Any) -> Any:
    if isinstance(value, list):
        return listed_names([str(sentences(one)) for one in value], kept.get("count"), most=len(value))
    return in_words(value) if isinstance(value, dict) else value
