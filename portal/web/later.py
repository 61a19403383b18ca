"""How a view says that its answer may soon be another one, so that no thread waits for that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest

ENVIRON_KEY: Final = "portal.web.later"  # no header of a request can have this name in the environment


@dataclass
class Later:
    """What the web server offers with each request: `ready` is asked for `seconds`, then the view runs once more."""

    ready: Callable[[], bool] | None = None
    seconds: float = 0.0


def not_yet(request: HttpRequest) -> None:
    """Note that a 503 to this request is no fault: what it asks for is not there yet. It is logged as information."""
    request._not_yet = True  # type: ignore[attr-defined]  # noqa: SLF001


class NotYetIsNoError(logging.Filter):
    """Makes Django's ERROR lines about such requests INFO, and leaves all others as they are."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged, at the level that it has now."""
        is_expected = getattr(getattr(record, "request", None), "_not_yet", False)
        if is_expected and getattr(record, "status_code", None) == 503 and record.exc_info is None:
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
            return logging.getLogger(record.name).isEnabledFor(logging.INFO)
        return True


def answer_again_when(request: HttpRequest, ready: Callable[[], bool], seconds: float) -> None:
    """Keep this answer back until `ready` is true, and run the view again then; send it as it is after `seconds`.

    `ready` runs in another thread, several times, and must be cheap. A server that offers nothing sends the answer.
    """
    later = request.META.get(ENVIRON_KEY)
    if isinstance(later, Later):
        later.ready, later.seconds = ready, seconds
