"""What this side of SCIM can do (RFC 7643, sections 5 to 7): configuration, resource types, schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from vpn.api.scim.endpoint import BASE
from vpn.api.scim.faults import Fault, answer
from vpn.api.scim.groups import GROUP
from vpn.api.scim.lists import MOST_ROWS, listing
from vpn.api.scim.person import USER

_CORE: Final = "urn:ietf:params:scim:schemas:core:2.0"
Document = dict[str, Any]


def read_configuration(_request: HttpRequest) -> HttpResponse:
    """What is supported."""
    token = {
        "type": "oauthbearertoken",
        "name": "Token",
        "description": "A token of the kind “Provision people (SCIM)”, made by an admin on the page of API tokens.",
        "primary": True,
    }
    body = {
        "schemas": [f"{_CORE}:ServiceProviderConfig"],
        "documentationUri": f"{settings.PUBLIC_URL}/settings/tokens/",
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST_ROWS},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [token],
    }
    return answer({**body, "meta": _meta("ServiceProviderConfig", "ServiceProviderConfig")})


def read_types(request: HttpRequest, name: str = "") -> HttpResponse:
    """The types of resources, or one of them."""
    types = [
        _type("User", "A person in the organization.", USER),
        _type("Group", "A group of people, which firewall rules name.", GROUP),
    ]
    return _many_or_one(request, types, name)


def read_schemas(request: HttpRequest, name: str = "") -> HttpResponse:
    """The attributes that are kept, or those of one type."""
    return _many_or_one(request, [_schema(USER, "User", _USER), _schema(GROUP, "Group", _GROUP)], name)


def not_supported(_request: HttpRequest) -> HttpResponse:
    """The answer for what the standard makes optional."""
    raise Fault(501, "", "This is not supported; see ServiceProviderConfig.")


def _many_or_one(request: HttpRequest, documents: Sequence[Document], name: str) -> HttpResponse:
    # RFC 7644, 4: a filter here is refused, so that no client takes the whole list for a result.
    if "filter" in request.GET:
        raise Fault(403, "", "This cannot be filtered.")
    if not name:
        return answer(listing(documents, len(documents)))
    found = next((one for one in documents if one["id"].lower() == name.lower()), None)
    if found is None:
        raise Http404
    return answer(found)


def _meta(kind: str, path: str) -> Document:
    return {"resourceType": kind, "location": f"{settings.PUBLIC_URL}{BASE}/{path}"}


def _type(name: str, description: str, schema: str) -> Document:
    return {
        "schemas": [f"{_CORE}:ResourceType"],
        "id": name,
        "name": name,
        "endpoint": f"/{name}s",
        "description": description,
        "schema": schema,
        "schemaExtensions": [],
        "meta": _meta("ResourceType", f"ResourceTypes/{name}"),
    }


def _schema(schema: str, name: str, attributes: Sequence[Document]) -> Document:
    return {
        "schemas": [f"{_CORE}:Schema"],
        "id": schema,
        "name": name,
        "description": name,
        "attributes": list(attributes),
        "meta": _meta("Schema", f"Schemas/{schema}"),
    }


def _attribute(name: str, description: str, **others: Any) -> Document:
    usual: Mapping[str, Any] = {
        "type": "string",
        "multiValued": False,
        "required": False,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    }
    return {"name": name, "description": description, **usual, **others}


_READ_ONLY: Final[Mapping[str, Any]] = {"mutability": "readOnly"}
_ID: Final[Mapping[str, Any]] = {"caseExact": True}
_EXTERNAL: Final = _attribute("externalId", "Its id in the directory.", caseExact=True, uniqueness="server")


def _reference(of: str, mutability: str) -> Document:
    others: Document = {"type": "reference", "referenceTypes": [of], "caseExact": True, "mutability": mutability}
    return _attribute("$ref", "Its address.", **others)


_USER: Final = [
    _attribute("userName", "What the directory calls them.", required=True, uniqueness="server"),
    _EXTERNAL,
    _attribute("displayName", "The name of their account."),
    _attribute(
        "name",
        "The same name, as an object.",
        type="complex",
        subAttributes=[_attribute("formatted", "The full name.")],
    ),
    _attribute("active", "False ends sessions, tokens, share links and tunnels.", type="boolean"),
    _attribute(
        "emails",
        "The address of their account. It may be left out if the user name is one.",
        type="complex",
        multiValued=True,
        required=True,
        mutability="immutable",
        subAttributes=[
            _attribute("value", "The address.", required=True, mutability="immutable"),
            _attribute("type", "Always work.", canonicalValues=["work"], **_READ_ONLY),
            _attribute("primary", "Always true.", type="boolean", **_READ_ONLY),
        ],
    ),
    _attribute(
        "groups",
        "The groups that they are in.",
        type="complex",
        multiValued=True,
        **_READ_ONLY,
        subAttributes=[
            _attribute("value", "The id of the group.", **_ID, **_READ_ONLY),
            _reference("Group", "readOnly"),
            _attribute("display", "Its name.", **_READ_ONLY),
        ],
    ),
]
_GROUP: Final = [
    _attribute("displayName", "Its name, of at most 40 characters.", required=True, uniqueness="server"),
    _EXTERNAL,
    _attribute(
        "members",
        "The users in it.",
        type="complex",
        multiValued=True,
        subAttributes=[
            _attribute("value", "The id of the user.", mutability="immutable", **_ID),
            _reference("User", "immutable"),
            _attribute("type", "Always User.", canonicalValues=["User"], **_READ_ONLY),
            _attribute("display", "Their address.", **_READ_ONLY),
        ],
    ),
]
