"""How a view says that its answer may soon be another one, so that no thread waits for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest

ENVIRON_KEY: Final = "portal.later"  # no header of a request can have this name in the environment


@dataclass
class Later:
    """What the web server offers with each request: `ready` is asked for `seconds`, then the view runs once more."""

    ready: Callable[[], bool] | None = None
    seconds: float = 0.0


def answer_again_when(request: HttpRequest, ready: Callable[[], bool], seconds: float) -> None:
    """Keep this answer back until `ready` is true, and run the view again then; send it as it is after `seconds`.

    `ready` runs in another thread, several times, and must be cheap. A server that offers nothing sends the answer.
    """
    later = request.META.get(ENVIRON_KEY)
    if isinstance(later, Later):
        later.ready, later.seconds = ready, seconds
