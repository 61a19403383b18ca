"""Idempotency-Key: a POST repeated with its key gets the stored answer; its work is not repeated."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from vpn.api.protocol.auth import member_of
from vpn.api.protocol.errors import Refusal, invalid
from vpn.api.protocol.plans import wants_plan
from vpn.constants import IDEMPOTENCY_HOURS
from vpn.models import IdempotencyKey

KEPT_FOR = timedelta(hours=IDEMPOTENCY_HOURS)
# Kept per member; the oldest is deleted first. A program that adds 10,000 peers can repeat any of these calls.
MOST_KEPT = 10_000
_SALT = "vpn.idempotency"
HEADER = "Idempotency-Key"
MAX_LENGTH = 255
_REPEATED_HEADERS = ("Content-Type", "ETag")
View = TypeVar("View", bound=Callable[..., HttpResponse])


def idempotent(view: View) -> View:
    """Make a POST safe to repeat.

    The answer is written in the transaction that does the work. A second request with the same key waits at the unique
    constraint until the first has ended. If the first failed or died, it left neither an effect nor an answer. Refusals
    are not stored: they had no effect.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        key = request.headers.get(HEADER)
        if key is None:
            return view(request, *args, **kwargs)
        if not key or len(key) > MAX_LENGTH or not key.isascii() or not key.isprintable():
            raise invalid({HEADER: [f"Use 1 to {MAX_LENGTH} printable ASCII characters."]})
        if wants_plan(request):
            # A plan changes nothing, so it may be repeated; and it is computed outside of any transaction.
            return view(request, *args, **kwargs)
        with transaction.atomic():
            kept = _begin(request, key)
            if kept.answer_sealed:
                return _repeated(kept, request)
            response = view(request, *args, **kwargs)
            kept.answer = _recorded(response)
            kept.save(update_fields=["answer_sealed"])
        return response

    # ninja resolves annotations in the module of the function that it gets, which is this module.
    wrapped.__signature__ = inspect.signature(view, eval_str=True)  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def _begin(request: HttpRequest, key: str) -> IdempotencyKey:
    """The row of this key: a new one, or the one with the stored answer."""
    mine = IdempotencyKey.objects.filter(membership=member_of(request))
    mine.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    kept = mine.filter(key=key).first()
    if kept is not None:
        return kept
    _make_room(mine)
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(
                membership=member_of(request), key=key, request_digest=_digest(request, settings.SECRET_KEY)
            )
    except IntegrityError:
        return mine.get(key=key)


def _make_room(mine: QuerySet[IdempotencyKey]) -> None:
    """Delete all but the newest MOST_KEPT - 1 answers, so that one more makes MOST_KEPT."""
    oldest = mine.order_by("-created_at").values_list("created_at", flat=True)[MOST_KEPT - 1 : MOST_KEPT].first()
    if oldest is not None:
        mine.filter(created_at__lte=oldest).delete()


def _repeated(kept: IdempotencyKey, request: HttpRequest) -> HttpResponse:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(constant_time_compare(kept.request_digest, _digest(request, key)) for key in keys):
        message = "This Idempotency-Key was used for another request. Use a new key for each thing that you do."
        raise Refusal(409, "idempotency-key-reused", message)
    answer: dict[str, Any] = json.loads(kept.answer)
    headers = {**answer["headers"], "Idempotent-Replayed": "true"}
    return HttpResponse(answer["body"], status=answer["status"], headers=headers)


def _recorded(response: HttpResponse) -> str:
    headers = {name: response[name] for name in _REPEATED_HEADERS if response.has_header(name)}
    return json.dumps({"status": response.status_code, "headers": headers, "body": response.content.decode()})


def _digest(request: HttpRequest, key: str) -> str:
    """Keyed, as a body may hold a passphrase that could be guessed from a plain digest."""
    what = f"{request.method} {request.get_full_path()}\n".encode()
    return salted_hmac(_SALT, what + request.body, secret=key, algorithm="sha256").hexdigest()
