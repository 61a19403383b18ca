"""Every refusal in one form: `{"type", "code", "message", "doc_url"}`, and `"errors"` where the input is at fault."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from portal.database import is_busy
from portal.exceptions import Conflict, InvalidInput

logger = logging.getLogger(__name__)

# The type of each status, for programs that read only the body.
TYPES = {
    400: "invalid-request",
    401: "authentication",
    403: "permission",
    404: "not-found",
    405: "invalid-request",
    409: "conflict",
    412: "conflict",
    413: "invalid-request",
    415: "invalid-request",
    422: "invalid-input",
    429: "rate-limit",
    500: "internal",
    503: "unavailable",
}


class Refusal(Exception):
    """A refusal raised within the API, as a response."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.code, self.message = status, code, message
        self.errors, self.headers = errors, headers
        super().__init__(message)

    def response(self) -> HttpResponse:
        """The answer."""
        return problem(self.status, self.code, self.message, errors=self.errors, headers=self.headers)


def problem(
    status: int,
    code: str,
    message: str,
    *,
    errors: Mapping[str, Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A response in the form of all errors."""
    body: dict[str, object] = {
        "type": TYPES.get(status, "invalid-request"),
        "code": code,
        "message": message,
        "doc_url": f"{settings.PUBLIC_URL}/api/v1/docs",
    }
    if errors:
        body["errors"] = {field: list(messages) for field, messages in errors.items()}
    return JsonResponse(body, status=status, headers=dict(headers or {}))


def invalid(errors: Mapping[str, Sequence[str]]) -> Refusal:
    """A refusal of the input, with every fault by field."""
    return Refusal(422, "invalid-input", "The input is not valid; see errors for each field.", errors=errors)


def not_found() -> HttpResponse:
    """The response for what does not exist, or belongs to another organization."""
    return problem(404, "not-found", "There is no such thing here.")


def too_large() -> HttpResponse:
    """The response to a body over the limit."""
    return problem(413, "body-too-large", "The body is larger than 1 MB.")


def register(api: NinjaAPI) -> None:
    """Turn every exception of a call into the common form."""
    api.add_exception_handler(Refusal, _refusal)
    api.add_exception_handler(Http404, lambda _request, _error: not_found())
    # Another call deleted the row between two queries of this one.
    api.add_exception_handler(ObjectDoesNotExist, lambda _request, _error: not_found())
    api.add_exception_handler(IntegrityError, _crossed)
    api.add_exception_handler(PermissionDenied, _forbidden)
    api.add_exception_handler(InvalidInput, _invalid_input)
    api.add_exception_handler(Conflict, _conflict)
    api.add_exception_handler(RequestDataTooBig, lambda _request, _error: too_large())
    api.add_exception_handler(ValidationError, _parameters)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(OperationalError, _database_failed)
    api.add_exception_handler(Exception, _unexpected)


def _refusal(_request: HttpRequest, refusal: Any) -> HttpResponse:
    response: HttpResponse = refusal.response()
    return response


def _invalid_input(_request: HttpRequest, error: Any) -> HttpResponse:
    return invalid(error.errors).response()


def _forbidden(_request: HttpRequest, error: Any) -> HttpResponse:
    return problem(403, "role-too-small", str(error) or "Your role does not allow this.")


def _conflict(_request: HttpRequest, error: Any) -> HttpResponse:
    errors = {error.field: [error.message]} if error.field else None
    return problem(409, error.code, error.message, errors=errors)


def _crossed(request: HttpRequest, error: Any) -> HttpResponse:
    logger.warning("A call of %s conflicted with another one", request.path, exc_info=error)
    return problem(409, "changed-meanwhile", "Something else changed this at the same moment. Try again.")


def _parameters(_request: HttpRequest, error: Any) -> HttpResponse:
    # Only query parameters arrive here: Django matches paths, and vpn.api.protocol.bodies reads bodies.
    errors: dict[str, list[str]] = {}
    for fault in error.errors:
        errors.setdefault(str(fault["loc"][-1]), []).append(str(fault["msg"]))
    return invalid(errors).response()


def _http_error(_request: HttpRequest, error: Any) -> HttpResponse:
    return problem(error.status_code, TYPES.get(error.status_code, "refused"), str(error))


def _database_failed(request: HttpRequest, error: Any) -> HttpResponse:
    logger.error("The database did not answer a call of %s", request.path, exc_info=error)
    headers = {"Retry-After": "2"}
    if is_busy(error):
        message = "The database is busy, so nothing was saved. Try again in a few seconds."
        return problem(503, "database-busy", message, headers=headers)
    message = "The database failed. The error was logged; see /healthz for the reason."
    return problem(503, "database-failed", message, headers=headers)


def _unexpected(request: HttpRequest, error: Any) -> HttpResponse:
    logger.error("A call of %s failed", request.path, exc_info=error)
    got_request_exception.send(sender=None, request=request)
    return problem(500, "internal-error", "The portal has a fault. The error was logged.")
