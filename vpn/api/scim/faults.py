"""Refusals in SCIM's form (RFC 7644, 3.12), and which of them each exception becomes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from portal.database import is_busy
from portal.exceptions import Conflict, InvalidInput
from vpn.api.protocol.errors import Refusal

logger = logging.getLogger(__name__)
CONTENT_TYPE: Final = "application/scim+json"
_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
# The codes of conflicts that another resource causes by having the same value.
_UNIQUENESS: Final = frozenset({"member-exists", "name-taken", "user-name-taken", "external-id-taken"})
# The codes of conflicts with what an attribute is now ("mutability or current state", RFC 7644, 3.12).
_MUTABILITY: Final = frozenset({"deactivated-by-hand"})


class Fault(Exception):
    """A refusal raised within SCIM; `kind` is its scimType, "" where the standard has none."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        self.status, self.kind, self.detail = status, kind, detail
        super().__init__(detail)


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A response with a body."""
    return JsonResponse(body, status=status, headers=dict(headers or {}), content_type=CONTENT_TYPE)


def refusal(status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """The response of a refusal."""
    body = {"schemas": [_SCHEMA], "status": str(status), **({"scimType": kind} if kind else {}), "detail": detail}
    return answer(body, status, headers)


def refusal_of(request: HttpRequest, error: Exception) -> HttpResponse:
    """The response to a call that raised this."""
    if isinstance(error, Refusal):
        return refusal(error.status, "", error.message, error.headers)
    if isinstance(error, Fault):
        return refusal(error.status, error.kind, error.detail)
    if isinstance(error, InvalidInput):
        faults = [f"{field}: {' '.join(messages)}" for field, messages in error.errors.items()]
        return refusal(400, "invalidValue", " ".join(faults))
    if isinstance(error, Conflict) and error.code in _MUTABILITY:
        return refusal(400, "mutability", error.message)
    if isinstance(error, Conflict):
        return refusal(409, "uniqueness" if error.code in _UNIQUENESS else "", error.message)
    if isinstance(error, PermissionDenied):
        return refusal(403, "", str(error) or "This is not allowed.")
    if isinstance(error, RequestDataTooBig):
        return refusal(413, "", "The body is larger than 1 MB.")
    if isinstance(error, Http404 | ObjectDoesNotExist):
        return refusal(404, "", "There is no such resource here.")
    return _failure(request, error)


def _failure(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("A call of %s failed", request.path, exc_info=error)
    if isinstance(error, IntegrityError):
        return refusal(409, "", "Something else changed this at the same moment. Try again.")
    if isinstance(error, OperationalError):
        reason = "The database is busy, so nothing was saved." if is_busy(error) else "The database failed."
        return refusal(503, "", f"{reason} Try again in a few seconds.", {"Retry-After": "2"})
    got_request_exception.send(sender=None, request=request)
    return refusal(500, "", "The portal has a fault. The error was logged.")
