"""The audit log: who did what, from where, as one JSON object a line, by the logger `audit`.

A line contains ids, the account's mail address, the client's address, and the name of the view. It contains no value of
a form or body, no token and no path. Non-ASCII and control characters are escaped, so no value can add a line.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase
from redis.exceptions import RedisError

from portal.models import Membership, Principal, User

logger = logging.getLogger("audit")
_LONGEST: Final = 254  # characters of one value
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def note(event: str, request: HttpRequest | None, *, who: User | Membership | None = None, **what: object) -> None:
    """Log an event. `who` is the actor if the request does not tell; `what` are ids, object names, or counts."""
    fields = _who(request, who) | ({"address": request.META.get("REMOTE_ADDR", "")} if request else {})
    fields |= {name: _plain(value) for name, value in what.items()}
    logger.info(event, extra={"audit": fields})
    if request is not None:
        request._audited = True  # type: ignore[attr-defined]  # noqa: SLF001


def leave_out(request: HttpRequest) -> None:
    """Skip the line for a preview, which changes nothing."""
    request._audited = True  # type: ignore[attr-defined]  # noqa: SLF001


def note_command(event: str, **what: object) -> None:
    """Log an action of `manage.py`: without a request, the line names the system account that ran it."""
    fields: dict[str, object] = {"who": "command", "account": _system_account()}
    logger.info(event, extra={"audit": fields | {name: _plain(value) for name, value in what.items()}})


def command_principal() -> Principal:
    """The principal of `manage.py`."""
    return Principal.command(_system_account())


def note_own_act(by: Principal, did: str, **what: object) -> None:
    """Log an action without a request or command, such as one by the portal itself."""
    fields: dict[str, object] = {"who": by.kind.value, "reason": by.reason, "did": did}
    logger.info("own_act", extra={"audit": fields | {name: _plain(value) for name, value in what.items()}})


def note_sometimes(event: str, request: HttpRequest, key: str, **what: Any) -> None:
    """Log an event at most once a minute for each key, so that strangers cannot fill the log."""
    try:
        is_first = cache.add(f"audit:{event}:{key}", 1, 60)
    except (RedisError, OSError):
        is_first = True  # an extra line is better than none
    if is_first:
        note(event, request, **what)


class AuditMiddleware:
    """Logs each request that may change something, unless its view logged it itself or skipped it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, then log it with its status, also if it was refused."""
        response = self.get_response(request)
        match = request.resolver_match
        if request.method in _READS or match is None or getattr(request, "_audited", False):
            return response
        if not _who(request, None):
            return response  # a stranger cannot change anything; sign-in attempts are logged elsewhere
        what: dict[str, Any] = {name: value for name, value in match.kwargs.items() if _is_id(value)}
        if response.status_code == 201:
            what["made"] = _made(response)
        note("act", request, view=match.view_name, method=request.method, status=response.status_code, **what)
        return response


def _system_account() -> str:
    """The account that runs this process; its number if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _who(request: HttpRequest | None, who: User | Membership | None) -> dict[str, object]:
    """The account, and the organization and token that it uses."""
    called = getattr(request, "auth", None)
    member = who if isinstance(who, Membership) else called if isinstance(called, Membership) else None
    user: Any = who if isinstance(who, User) else member.user if member else getattr(request, "user", None)
    fields: dict[str, object] = {}
    if isinstance(user, User):
        fields |= {"user": str(user.pk), "email": user.email}
    if member is not None:
        fields |= {"member": str(member.pk), "organization": str(member.organization_id)}
    elif chosen := getattr(request, "_membership", None):
        fields |= {"member": str(chosen.pk), "organization": str(chosen.organization_id)}
    if token := getattr(request, "_api_token", None):
        fields["token"] = str(token.pk)
    return fields


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int) or value is None else str(value)[:_LONGEST]


def _is_id(value: object) -> bool:
    """Return True for a number or a UUID; anything else in a URL may be a token."""
    try:
        return isinstance(value, int) or bool(UUID(str(value)))
    except ValueError:
        return False


def _made(response: HttpResponseBase) -> str:
    """The id of the object that the API created; "" if the response has none."""
    try:
        return str(UUID(json.loads(getattr(response, "content", b""))["id"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
