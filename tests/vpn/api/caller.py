"""A program that calls the API with a token."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from django.test import Client

from portal.models import ApiToken, Membership

BASE = "/api/v1/vpn"
Answer: TypeAlias = Any  # Django's test client gives responses a type that only its stubs know.


class Caller:
    """Calls paths below the base path; bodies are sent as JSON."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.client = Client(raise_request_exception=True)

    @classmethod
    def of(cls, member: Membership) -> Caller:
        """A program with a new token of this member's."""
        return cls(ApiToken.issue(member)[1])

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One call; `headers` by their names with underscores, such as `If_Match`."""
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type", "application/json")
        data = body if isinstance(body, (str, bytes)) else "" if body is None else json.dumps(body)
        return self.client.generic(method, BASE + path, data, content_type=content_type, headers=sent)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """POST."""
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        """PUT."""
        return self.call("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.call("DELETE", path, **headers)


def told(response: Answer, status: int) -> Any:
    """The body of an answer that must have this status."""
    assert response.status_code == status, (response.status_code, response.content[:600])
    return json.loads(response.content)


def refused(response: Answer, status: int, code: str = "") -> dict[str, Any]:
    """The body of a refusal in the contract's form."""
    body: dict[str, Any] = told(response, status)
    assert set(body) - {"errors"} == {"type", "code", "message", "doc_url"}
    assert body["message"]
    if code:
        assert body["code"] == code
    return body
