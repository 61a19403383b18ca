"""Refuses passwords that leaked, and those that are built from such ones, without asking anyone on the internet.

Django's list has 20,000 leaked passwords, as they are. zxcvbn has 30,000, with names and frequent words of several
languages, and finds them behind usual changes: capitals, digits for letters, years, keyboard rows, repetitions.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# Guesses by which zxcvbn's score 3 begins: safe against online guessing, and slow against a leaked hash.
_LEAST_GUESSES: Final = 10**8
# Its time grows with the square of the length. What a longer password begins with decides.
_LONGEST: Final = 64
_WORD: Final = re.compile(r"[^\W_]{3,}")


class GuessablePasswordValidator:
    """A validator for AUTH_PASSWORD_VALIDATORS."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError if fewer than 100 million guesses find it, also by who knows the person."""
        from zxcvbn import zxcvbn  # takes 14 MB, which most processes never need

        found = zxcvbn(password[:_LONGEST], user_inputs=_known_of(user))
        if found["guesses"] < _LEAST_GUESSES:
            raise ValidationError(
                _(
                    "This password is easy to guess: it leaked elsewhere, or is close to one that did. "
                    "Choose four words at random, or let a password manager choose."
                ),
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        """The rule in a sentence."""
        return _("Your password must not be one that leaked elsewhere, or close to one.")


def _known_of(user: Any) -> list[str]:
    texts = ("VPN portal", getattr(user, "email", ""), getattr(user, "name", ""))
    return [word for text in texts for word in (text, *_WORD.findall(text)) if word]
