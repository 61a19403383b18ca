"""Search for words in names, with the same results in both databases."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, Q, QuerySet

_Row = TypeVar("_Row", bound=Model)


def as_typed(text: object) -> str:
    """Return the text of a search without the spaces around it, and without NUL, which PostgreSQL refuses."""
    return str(text).replace("\x00", "").strip()


def has_word(field: str, word: str) -> Q:
    """Return a condition: the field contains the word, ignoring case.

    SQLite ignores case only for ASCII letters. So other letters are searched in their usual spellings: "özgür" also
    finds "Özgür".
    """
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    found = Q()
    for spelling in sorted(spellings):
        found |= Q(**{f"{field}__icontains": spelling})
    return found


def with_words(rows: QuerySet[_Row], text: str, *fields: str) -> QuerySet[_Row]:
    """Return the rows in which each word of the text is found in one of the fields."""
    for word in text.split():
        found = Q()
        for field in fields:
            found |= has_word(field, word)
        rows = rows.filter(found)
    return rows
