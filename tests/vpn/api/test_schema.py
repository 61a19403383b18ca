"""Made-up calls, good and bad, against what the OpenAPI document promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.actions.group import create_group
from portal.actions.member import remove_member
from portal.models import ApiToken, Membership
from portal.wsgi import application
from tests import factories
from tests.factories import BY, make_member
from tests.vpn.api.caller import Caller
from vpn.api.root import api
from vpn.models import Instance, Site

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = json.loads(json.dumps(api.get_openapi_schema()))
CALLS = [(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations]


@pytest.fixture
def ids(instance: Instance, site: Site, member: Membership, admin: Membership) -> dict[str, str]:
    """Things that are there, so that calls get further than "not found"."""
    peer = factories.make_client_peer(instance, member)
    return {
        "instance_id": str(instance.pk),
        "peer_id": str(peer.pk),
        "site_id": str(site.pk),
        "user_id": str(member.pk),
        "receipt_id": str(remove_member(make_member(member.organization), by=BY).pk),
        "group_id": str(create_group(member.organization, name="Sales", members=[member.pk], by=BY).pk),
        "number": "1",
        "token_id": str(ApiToken.issue(admin)[0].pk),
    }


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """The WSGI application closes the database's connection after a request; here it is the test's own."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("path", "method"), CALLS)
def test_every_call_keeps_its_promise(
    path: str, method: str, mode: GenerationMode, ids: dict[str, str], admin: Membership, settings: Any
) -> None:
    settings.API_LIMITS = dict.fromkeys(("reads", "writes", "wrong-token", "wrong-share-token"), 1_000_000)
    headers = {"Authorization": f"Bearer {Caller.of(admin).token}"}
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = application
    operation = schema[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis_settings(
        max_examples=10, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    def keeps_its_promise(case: Any) -> None:
        case.path_parameters = {name: ids[name] for name in case.path_parameters or {}}
        case.call_and_validate(headers=headers, checks=CHECKS)

    keeps_its_promise()
