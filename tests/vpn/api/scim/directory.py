"""A directory that provisions people by SCIM."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from portal.models import ApiToken, Membership
from portal.models.api_token import Ceiling
from tests.vpn.api.caller import Answer

BASE = "/scim/v2"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class Directory:
    """Calls paths below the base path with a token; bodies are sent as SCIM."""

    def __init__(self, token: str = "") -> None:
        self.token, self.client = token, Client(raise_request_exception=True)

    @classmethod
    def of(cls, admin: Membership) -> Directory:
        """A directory with a new token of this admin's."""
        return cls(ApiToken.issue(admin, name="Entra ID", ceiling=Ceiling.SCIM)[1])

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One call; `headers` by their names with underscores."""
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type", "application/scim+json")
        data = body if isinstance(body, (str, bytes)) else "" if body is None else json.dumps(body)
        return self.client.generic(method, BASE + path, data, content_type=content_type, headers=sent)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def found(self, kind: str, wanted: str, **parameters: str) -> list[Any]:
        """The resources that a filter finds."""
        answer = self.client.get(
            f"{BASE}/{kind}", {"filter": wanted, **parameters}, headers={"Authorization": f"Bearer {self.token}"}
        )
        resources: list[Any] = told(answer)["Resources"]
        return resources

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> Answer:
        """PATCH with these operations."""
        return self.call("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    def user(self, user_name: str = "anna@example.com", **others: Any) -> Any:
        """Create a user."""
        return told(self.call("POST", "/Users", {"schemas": [USER], "userName": user_name, **others}), 201)

    def group(self, name: str = "Engineers", members: list[str] | None = None, **others: Any) -> Any:
        """Create a group of users with these ids."""
        listed = [{"value": one} for one in members or []]
        body = {"schemas": [GROUP], "displayName": name, "members": listed, **others}
        return told(self.call("POST", "/Groups", body), 201)


def told(response: Answer, status: int = 200) -> Any:
    """The body of an answer that must have this status."""
    assert response.status_code == status, (response.status_code, response.content[:600])
    assert response["Content-Type"] == "application/scim+json"
    return json.loads(response.content)


def refused(response: Answer, status: int, kind: str = "") -> str:
    """The sentence of a refusal in SCIM's form; `kind` is its scimType."""
    body = told(response, status)
    assert (body["schemas"], body["status"], body.get("scimType", "")) == ([ERROR], str(status), kind), body
    assert body["detail"]
    return str(body["detail"])
