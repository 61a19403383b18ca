"""What the OpenAPI document says beyond the types of the views."""

from __future__ import annotations

from typing import Any

from vpn.api.schemas.base import ErrorOut, In

_WORDS = {
    "If-Match": "The ETag of a read: the change is refused with 412 if another change came first.",
    "plan": "With `true` nothing changes, and the answer says what the change would mean.",
    "confirm_within": "Seconds (5 to 3600) after which the hub takes the change back unless it is confirmed.",
    "Idempotency-Key": "A text of yours. A call repeated with the same key and body is answered again, not done again.",
}
# The types of parameters in the query; the others are headers.
_QUERY = {"plan": "boolean", "confirm_within": "integer"}
DESCRIPTION = """
Everything that the portal's pages can do. Make a token under “Your account” and send it as
`Authorization: Bearer TOKEN`; it acts as that member of that organization.

**Roles.** Admins change, auditors read. Members see their own user and their own peers, and may make share tokens for
them; another member's are not there (404), and what belongs to the whole organization is refused (403).

**Lists** are bare arrays, `?limit=` long (100, at most 1,000); the next page is in `Link: <…>; rel="next"`.

**Changes.** PUT changes the fields that it names. A read may be sent back whole: fields that cannot be changed are
refused only where they differ. `If-Match` with the `ETag` of a read keeps two people from overwriting each other.
An ETag covers what people set, not what is only observed (state, bytes, handshakes).

**Asking first.** `?plan=true` on PUT of an instance or a peer, and on DELETE of a peer, changes nothing and answers who
would reach whom differently, and whose delivered profile would become outdated.

**Changes on trial.** `?confirm_within=SECONDS` on PUT of an instance: the hub applies the change and takes it back by
itself, even if the portal does not run, unless `POST …/confirm` comes in time. `POST …/return` takes it back at once.

**Revisions.** Each change of an instance's settings, rules, records and routes is one. A change takes a `note` for it.

**Repeating.** POST takes an `Idempotency-Key`, kept for 24 hours with the answer (of each member the newest 10,000).

**Errors** have one form: `type`, `code`, `message`, `doc_url`, and `errors` by field where the input is at fault.
429 and 503 carry `Retry-After`, in seconds.

**Quotas.** What an organization may have at most is set by the portal's staff. Adding more is refused with 409: the
code names the quota (`quota-instances`, `quota-provisioning`, `quota-peers`, `quota-sites`, `quota-subnets`,
`quota-rules`, `quota-dns-records`, `quota-members`, `quota-groups`, `quota-api-tokens`), the message what is in use.
API calls a minute, of all tokens of the organization together, are refused with 429 and `quota-api-calls`.

**Tokens.** `GET`, `POST /tokens` and `DELETE /tokens/{id}` are about the caller's own. A token ends when it expires
(401, `token-expired`), when it is revoked, when its owner's password is reset, and when the owner is deactivated or
removed. A token with the ceiling `read` makes no changes (403, `token-reads-only`). For a token limited to `instances`,
others are not there (404), lists leave them out, and calls about the whole organization are refused (403,
`token-instances-only`).
"""


def answers(success: dict[int, Any], *refusals: int) -> dict[int, Any]:
    """The `response=` of a call: its success and its refusals; 401, 403 and 429 are always possible."""
    return {**success, **dict.fromkeys((401, 403, *refusals, 429), ErrorOut)}


def takes(body: type[In] | None = None, *headers: str) -> dict[str, Any]:
    """The `openapi_extra=` of a call that reads a body, headers or the parameter `plan` itself."""
    extra: dict[str, Any] = {}
    if headers:
        extra["parameters"] = [
            {
                "in": "query" if name in _QUERY else "header",
                "name": name,
                "schema": {"type": _QUERY.get(name, "string")},
                "required": False,
                "description": _WORDS[name],
            }
            for name in headers
        ]
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema_of(body)}}}
    return extra


def _schema_of(body: type[In]) -> dict[str, Any]:
    """A body's JSON schema with nested schemas inlined, since its references are not valid in the document."""
    schema = body.model_json_schema()
    shapes = schema.pop("$defs", {})

    def written_out(part: Any) -> Any:
        if isinstance(part, list):
            return [written_out(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return written_out(shapes[part["$ref"].rpartition("/")[2]])
        return {key: written_out(value) for key, value in part.items()}

    found: dict[str, Any] = written_out(schema)
    return found


# `GET /client` answers the file itself unless the caller accepts JSON.
PROFILE_AS_TEXT: dict[str, Any] = {
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}
# Routers get lines, or a script.
ROUTER_AS_TEXT = PROFILE_AS_TEXT
