"""The checks of scim2-tester, against the real application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from portal.models import Membership
from tests.vpn.api.scim.directory import Directory

pytestmark = pytest.mark.django_db
# What the checks find at fault, and why it is meant so.
MEANT = {
    "object_replacement": "it changes the address of an account",
    "check_remove_attribute": "who is neither active nor inactive stays as they are",
    "search_with_attributes": "optional: a search by POST is not supported (501)",
}


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """The application does not close the connection, in whose transaction the test is."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


# Of groups, the checks of PATCH make up names of members; a refused name of a user is no fault.
@pytest.mark.parametrize(("kind", "tags"), [("User", None), ("Group", {"crud:create", "crud:read", "crud:delete"})])
def test_the_server_is_as_the_standard_says(admin: Membership, kind: str, tags: set[str] | None) -> None:
    headers = {"Authorization": f"Bearer {Directory.of(admin).token}"}
    client = WSGISCIMClient(get_wsgi_application(), base_url="http://localhost/scim/v2", headers=headers)
    results = check_server(client, resource_types=[kind], include_tags=tags)
    passed = {one.title for one in results if one.status == Status.SUCCESS}
    assert {"object_creation", "object_query", "object_deletion"} <= passed
    faults = [one for one in results if one.status not in {Status.SUCCESS, Status.SKIPPED}]
    assert {one.title: one.reason for one in faults if one.title not in MEANT} == {}
