"""The audit log: who did what, from where, one JSON object a line, by the logger `audit`.

A line carries ids, the address of the account, the client's address, and the name of the view: no value of a form or
body, no token, no path. Everything outside of ASCII and every control character is escaped, so no value makes a line.
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
    """Log an event. `who` acts where the request does not say it; `what` are ids, names of things, or counts."""
    fields = _who(request, who) | ({"address": request.META.get("REMOTE_ADDR", "")} if request else {})
    fields |= {name: _plain(value) for name, value in what.items()}
    logger.info(event, extra={"audit": fields})
    if request is not None:
        request._audited = True  # type: ignore[attr-defined]  # noqa: SLF001


def leave_out(request: HttpRequest) -> None:
    """Have no line for a request that only asked what a change would mean: it changes nothing."""
    request._audited = True  # type: ignore[attr-defined]  # noqa: SLF001


def note_command(event: str, **what: object) -> None:
    """Log what was done by `manage.py`: there is no request, so the line names the system's account that ran it."""
    fields: dict[str, object] = {"who": "command", "account": _system_account()}
    logger.info(event, extra={"audit": fields | {name: _plain(value) for name, value in what.items()}})


def command_principal() -> Principal:
    """Who acts where `manage.py` does."""
    return Principal.command(_system_account())


def note_own_act(by: Principal, did: str, **what: object) -> None:
    """Log what was done without a request or command, such as by the portal itself: those have lines of their own."""
    fields: dict[str, object] = {"who": by.kind.value, "reason": by.reason, "did": did}
    logger.info("own_act", extra={"audit": fields | {name: _plain(value) for name, value in what.items()}})


def note_sometimes(event: str, request: HttpRequest, key: str, **what: Any) -> None:
    """Log an event once a minute for each key: what strangers do by the thousand must not fill the log."""
    try:
        is_first = cache.add(f"audit:{event}:{key}", 1, 60)
    except (RedisError, OSError):
        is_first = True  # a line too many is better than none
    if is_first:
        note(event, request, **what)


class AuditMiddleware:
    """Notes each request that may change something, unless its view noted it more precisely, or left it out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, then note it with its status, refusals too."""
        response = self.get_response(request)
        match = request.resolver_match
        if request.method in _READS or match is None or getattr(request, "_audited", False):
            return response
        if not _who(request, None):
            return response  # a stranger changes nothing; signing in is noted where it is tried
        what: dict[str, Any] = {name: value for name, value in match.kwargs.items() if _is_id(value)}
        if response.status_code == 201:
            what["made"] = _made(response)
        note("act", request, view=match.view_name, method=request.method, status=response.status_code, **what)
        return response


def _system_account() -> str:
    """The account that this process runs as; its number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _who(request: HttpRequest | None, who: User | Membership | None) -> dict[str, object]:
    """The account, and the organization and token that it acts with."""
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
    """A number or a UUID; anything else in an address may be a token."""
    try:
        return isinstance(value, int) or bool(UUID(str(value)))
    except ValueError:
        return False


def _made(response: HttpResponseBase) -> str:
    """The id of what the API made; "" where its answer has none."""
    try:
        return str(UUID(json.loads(getattr(response, "content", b""))["id"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
