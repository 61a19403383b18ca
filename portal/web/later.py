"""Long polling without a thread: a view returns a condition, and the server runs the view again once it is met."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest

ENVIRON_KEY: Final = "portal.web.later"  # no header of a request can have this name in the environment


@dataclass
class Later:
    """The web server's slot for the condition: `ready` is polled for `seconds`, then the view runs again."""

    ready: Callable[[], bool] | None = None
    seconds: float = 0.0


def not_yet(request: HttpRequest) -> None:
    """Mark a 503 to this request as expected (not ready yet), so that it is logged as information."""
    request._not_yet = True  # type: ignore[attr-defined]  # noqa: SLF001


class NotYetIsNoError(logging.Filter):
    """Changes Django's ERROR lines about such requests to INFO."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is logged, with its possibly changed level."""
        is_expected = getattr(getattr(record, "request", None), "_not_yet", False)
        if is_expected and getattr(record, "status_code", None) == 503 and record.exc_info is None:
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
            return logging.getLogger(record.name).isEnabledFor(logging.INFO)
        return True


def answer_again_when(request: HttpRequest, ready: Callable[[], bool], seconds: float) -> None:
    """Hold this response until `ready` is true, then run the view again; after `seconds`, send the response.

    `ready` runs several times in another thread and must be cheap. A server without this feature sends the response.
    """
    later = request.META.get(ENVIRON_KEY)
    if isinstance(later, Later):
        later.ready, later.seconds = ready, seconds
