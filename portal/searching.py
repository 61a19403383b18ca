"""Finding names by words, alike in both databases."""

from __future__ import annotations

from django.db.models import Q


def has_word(field: str, word: str) -> Q:
    """Where a field contains the word, in any capitals.

    SQLite compares the letters of ASCII alone without regard to capitals, so that any others are looked for as they are
    usually written: "özgür" is found as "Özgür", too.
    """
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    found = Q()
    for spelling in sorted(spellings):
        found |= Q(**{f"{field}__icontains": spelling})
    return found
