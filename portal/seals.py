"""Checks that the configured keys open all secrets in the database.

A database that was restored without its keys looks fine, but no hub can be built from it and no profile delivered.
`manage.py prepare`, and so `make up`, refuses it; /healthz reports it for a running portal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from django.apps import apps
from django.conf import settings
from django.db.models import Model, Q, QuerySet

from portal.sealing import Sealed, openable_prefixes

# Seconds between checks. Each check reads every sealed column.
_LOOK_EVERY: Final = 300.0
_LOOK_AGAIN: Final = 5.0


def closed_rows() -> dict[str, int]:
    """The number of rows by kind whose secret no configured key opens; empty if all can be opened."""
    found = {}
    for model, columns in _sealed_columns():
        closed = Q()
        for column in columns:
            opens = Q(**{column: ""})
            for prefix in openable_prefixes():
                opens |= Q(**{f"{column}__startswith": prefix})
            closed |= ~opens
        count = QuerySet(model).filter(closed).count()
        if count:
            found[str(model._meta.verbose_name_plural)] = count
    return found


def complaint() -> str:
    """The fault with the keys and what to do, in a sentence or two; "" if there is none."""
    found = closed_rows()
    if not found:
        return ""
    counted = ", ".join(f"{count} {kind}" for kind, count in found.items())
    return (
        f"The database holds secrets that no key here opens ({counted}), so these do not work. "
        f"Put the key back that was used before: as a further line in {settings.OPERATORS_DATA_DIR}/keys/secret_keys, "
        "or in SECRET_KEYS. Then start the portal again."
    )


class _Health:
    """Checks at intervals, because the cost of a check grows with the database."""

    def __init__(self) -> None:
        self._look_at = 0.0
        self._answer = "ok"

    def __call__(self) -> str:
        """ "ok", or that secrets cannot be opened; without file names or counts, because the page is public."""
        now = time.monotonic()
        if now >= self._look_at:
            fine = not closed_rows()
            self._answer = "ok" if fine else "The database holds secrets that no key here opens: put the old key back."
            self._look_at = now + (_LOOK_EVERY if fine else _LOOK_AGAIN)
        return self._answer


health = _Health()


def _sealed_columns() -> Iterator[tuple[type[Model], list[str]]]:
    """Every model with long-lived secrets, and their columns."""
    for model in apps.get_models():
        sealed = [each for each in vars(model).values() if isinstance(each, Sealed) and each.lasting]
        if sealed:
            yield model, [each.column for each in sealed]
