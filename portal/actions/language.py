"""The language that a person chose."""

from __future__ import annotations

from django.db import transaction

from portal.actions.acting import acted
from portal.models import Principal, User


def choose_language(user: User, language: str, *, by: Principal) -> None:
    """Store the language of an account's pages and mail; "" follows the browser."""
    with transaction.atomic():
        if User.objects.filter(pk=user.pk).exclude(language=language).update(language=language):
            acted(by, "language chosen", user, details={"language": language})
    user.language = language
