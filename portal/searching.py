"""Search for words in names, with the same results in both databases."""

from __future__ import annotations

from django.db.models import Q


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
